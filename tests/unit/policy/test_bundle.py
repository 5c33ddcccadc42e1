from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.attention_mask import AttentionMask
from hearth.core.data_sections import TokenizerSettings
from hearth.core.errors import BundleError
from hearth.data.tokenizer import fit
from hearth.model.masks import training_mask
from hearth.policy import bundle as bundles
from hearth.policy.network import NetworkDefinition

from .conftest import TASKS, make_parameters


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "elsewhere"))


def rewrite(source: bundles.Bundle, path: Path) -> str:
    return bundles.write(
        path, config=source.config, model=source.model, tasks=source.tasks,
        benchmark=source.benchmark, statistics=source.statistics,
        parameters=source.parameters, provenance={"runtime": source.provenance["runtime"]},
    )  # fmt: skip


def test_a_bundle_serves_from_anywhere(copy: Path, benchmark_facts: Benchmark) -> None:
    loaded = bundles.load(copy, benchmark_facts)
    assert loaded.tasks == TASKS
    assert loaded.task_indices == {0: TASKS[0], 1: TASKS[1]}
    expected = make_parameters(loaded.config)
    assert loaded.parameters.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(loaded.parameters[name], array)


def test_the_hash_is_of_the_content_and_replacing_works(copy: Path) -> None:
    loaded = bundles.load(copy)
    assert rewrite(loaded, copy) == loaded.hash == bundles.content_hash(copy)
    loaded.parameters["stage_head/bias"] += 1
    assert rewrite(loaded, copy) != loaded.hash
    assert AttentionMask.load(copy / "attention_mask.json") == training_mask(loaded.config)
    assert [item.name for item in copy.parent.iterdir()] == [copy.name]


def test_a_bundle_carries_the_tokenizer_it_was_trained_with(copy: Path) -> None:
    loaded = bundles.load(copy)
    assert loaded.tokenizer is None
    horizon, width = loaded.statistics.chunk_mean.shape
    chunks = np.random.default_rng(0).normal(size=(20, horizon, width)).cumsum(axis=1)
    section = TokenizerSettings(training_chunks=20, encoded_dimensions=f"0:{width}")
    tokenizer = fit(chunks, loaded.statistics, section, 1024)
    bundles.write(
        copy, config=loaded.config, model=loaded.model, tasks=loaded.tasks,
        benchmark=loaded.benchmark, statistics=loaded.statistics, parameters=loaded.parameters,
        provenance={"runtime": loaded.provenance["runtime"]}, tokenizer=tokenizer,
    )  # fmt: skip
    again = bundles.load(copy)
    assert again.hash != loaded.hash and again.tokenizer is not None
    mask = AttentionMask.load(copy / "attention_mask.json")
    assert mask == training_mask(loaded.config, tokenizer.maximum_tokens)
    assert again.tokenizer.encode(chunks[0]) == tokenizer.encode(chunks[0])
    file = copy / "tokenizer.json"
    file.write_text(file.read_text()[:-100])
    with pytest.raises(BundleError, match=r"changed or truncated.*tokenizer.json"):
        bundles.load(copy)
    file.unlink()
    with pytest.raises(BundleError, match=r"incomplete: tokenizer.json missing"):
        bundles.load(copy)


@pytest.mark.parametrize(
    "name", ["settings.json", "benchmark.json", "statistics.h5", "parameters.npz"]
)
def test_truncated_and_missing_files_are_named(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match=f"damaged|changed or truncated.*{name}"):
        bundles.load(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"incomplete: {name} missing"):
        bundles.load(copy)


def test_a_flipped_bit_is_found(copy: Path) -> None:
    content = bytearray((copy / "parameters.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "parameters.npz").write_bytes(content)
    with pytest.raises(BundleError, match=r"changed or truncated.*parameters\.npz"):
        bundles.load(copy)


def test_another_robot_is_refused_naming_both(copy: Path) -> None:
    other = load_benchmark("behavior-2026")
    with pytest.raises(BundleError, match=r"'household' \(256.*'behavior-2026'.*\(61, 23\)"):
        bundles.load(copy, other)


def test_another_format_is_refused(copy: Path) -> None:
    settings = json.loads((copy / "settings.json").read_text())
    loaded = bundles.load(copy)
    (copy / "settings.json").write_text(json.dumps({**settings, "format": 99}))
    provenance = json.loads((copy / "provenance.json").read_text())
    provenance["files"]["settings.json"] = bundles.hash_file(copy / "settings.json")
    provenance["hash"] = bundles._content_hash(provenance["files"], loaded.statistics)
    (copy / "provenance.json").write_text(json.dumps(provenance))
    with pytest.raises(BundleError, match="format 99"):
        bundles.load(copy)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no policy bundle at"):
        bundles.load(tmp_path / "nothing")


def test_parameters_of_another_network_are_refused(bundle_path: Path) -> None:
    loaded = bundles.load(bundle_path)
    definition = NetworkDefinition(loaded.config)
    parameters = dict(loaded.parameters)
    parameters["stage_head/bias"] = np.zeros(7, np.float32)
    with pytest.raises(BundleError, match=r"stage_head/bias' has shape \(7,\).*\(15,\)"):
        definition.check(parameters, "x")
    del parameters["stage_head/bias"]
    with pytest.raises(BundleError, match="'stage_head/bias' is missing"):
        definition.check(parameters, "x")
    with pytest.raises(BundleError, match="unknown parameter 'stage_head/bais'"):
        definition.check({**loaded.parameters, "stage_head/bais": np.zeros(1)}, "x")
