# make demo: demonstrations to leaderboard in the embedded simulator, no GPU needed.
# make test: every test.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CONFIG ?= config/demo.yaml
PROFILE ?= profiles/local
SET ?=
BIN := .venv/bin
STAMP := .venv/.installed
TEST_STAMP := .venv/.installed-test
SNAKEMAKE = $(BIN)/snakemake --configfile $(CONFIG) --profile $(PROFILE) $(if $(SET),--config set="$(SET)")

REPORT = $(BIN)/hearth report --config $(CONFIG) $(foreach pair,$(SET),--set $(pair))

.PHONY: help setup demo test soak check format schemas lock unlock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install into .venv (and the system's GL library when root on Debian)

$(STAMP): requirements.lock requirements-installer.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh
	@touch $(STAMP)

demo: $(STAMP) ## the workflow of CONFIG (default config/demo.yaml); SET="key=value ..." overrides
	@$(SNAKEMAKE) || { $(REPORT); \
	  echo "The workflow did not finish: see above. After a kill -9 of Snakemake: make unlock" >&2; exit 1; }
	@$(REPORT) --show

$(TEST_STAMP): $(STAMP)
	@scripts/setup.sh test
	@touch $(TEST_STAMP)

test: $(TEST_STAMP) ## all tests
	@$(BIN)/pytest -n auto --dist loadgroup

soak: $(STAMP) ## the policy server under 100,000 requests and 1,000,000 malformed inputs
	@$(BIN)/python benchmarks/serving_soak.py

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
