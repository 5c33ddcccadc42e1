# make demo: demonstrations to leaderboard in the embedded simulator, no GPU needed.
# make test: every test. make test-cluster: the tests that start a Slurm of their own.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CONFIG ?= config/demo.yaml
PROFILE ?= profiles/local
SET ?=
BIN := .venv/bin
EXTRA ?=
STAMP := .venv/.installed$(EXTRA:%=-%)
TEST_STAMP := .venv/.installed-test
CLUSTER_STAMP := .venv/.installed-cluster
PROFILES := $(or $(XDG_CONFIG_HOME),$(HOME)/.config)/snakemake
SNAKEMAKE = $(BIN)/snakemake --configfile $(CONFIG) --profile $(PROFILE) $(if $(SET),--config set="$(SET)")

REPORT = $(BIN)/hearth report --config $(CONFIG) $(foreach pair,$(SET),--set $(pair))

.PHONY: help setup demo test test-cluster soak fuzz install-profile check format schemas lock unlock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install into .venv (and the system's GL library when root on Debian); EXTRA=cuda: JAX for NVIDIA GPUs

$(STAMP): requirements.lock requirements-installer.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh $(EXTRA)
	@touch $(STAMP)

demo: $(STAMP) ## the workflow of CONFIG (default config/demo.yaml); SET="key=value ..." overrides
	@$(SNAKEMAKE) || { $(REPORT); \
	  echo "The workflow did not finish: see above. After a kill -9 of Snakemake: make unlock" >&2; exit 1; }
	@$(REPORT) --show

$(TEST_STAMP): $(STAMP)
	@scripts/setup.sh test
	@touch $(TEST_STAMP)

test: $(TEST_STAMP) ## all tests but those of test-cluster
	@$(BIN)/pytest -n auto --dist loadgroup

$(CLUSTER_STAMP): $(STAMP)
	@scripts/setup.sh cluster
	@touch $(CLUSTER_STAMP)

test-cluster: $(CLUSTER_STAMP) ## the tests on a real Slurm, which they start in a temporary folder
	@$(BIN)/pytest -m cluster -n 2 --dist loadgroup --timeout 900 tests/cluster

install-profile: ## let `snakemake --profile slurm` find profiles/slurm from any folder
	@mkdir -p "$(PROFILES)"
	@ln -sfn "$(CURDIR)/profiles/slurm" "$(PROFILES)/slurm"
	@echo "snakemake --profile slurm: $(PROFILES)/slurm -> $(CURDIR)/profiles/slurm"

soak: $(STAMP) ## the policy server under 100,000 requests and 1,000,000 malformed inputs
	@$(BIN)/python benchmarks/serving_soak.py

fuzz: $(STAMP) ## the malformed inputs of soak alone; some 20 minutes
	@$(BIN)/python benchmarks/serving_soak.py --requests 0

check: $(STAMP) ## formatting, lint, types, import layers, workflow lint
	@$(BIN)/ruff format --check src tests benchmarks
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint --configfile $(CONFIG)

format: $(STAMP) ## format the code
	@$(BIN)/ruff format src tests benchmarks
	@$(BIN)/ruff check --fix src tests benchmarks
	@$(BIN)/snakefmt Snakefile workflow

schemas: $(STAMP) ## write workflow/schemas from the settings
	@$(BIN)/python scripts/write_schemas.py

lock: ## resolve requirements.lock anew
	@scripts/lock.sh

unlock: $(STAMP) ## after a kill -9 of Snakemake: unlock its folder (refuses while one runs)
	@scripts/unlock.sh $(SNAKEMAKE)
