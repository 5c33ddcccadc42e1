"""The command line as a person meets it: help, typos."""

from __future__ import annotations

import pytest

from hearth.cli import main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for command in ("demos", "prepare", "statistics", "train", "serve", "evaluate", "watch"):
        assert f"\n    {command}" in text


def test_an_unknown_argument_shows_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["watch", "--task", "turning_on_radio", "--evaluation", "expert"])
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert "usage: hearth watch" in text
    assert "unrecognized arguments: --evaluation expert" in text


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--task", "turning_on_radoi"], ["turning_on_radoi", "turning_on_radio"]),
        (["--task", "x", "--set", "runtime.flow_step=3"], ["flow_step", "flow_steps"]),
        (
            [
                "--task",
                "x",
                "--set",
                "runs.main.crop_fraction=0.9",
                "--set",
                "runs.main.geometry_cameras=[haed]",
            ],
            ["haed", "did you mean 'head'"],
        ),
        (["--task", "x", "--config", "config/dem.yaml"], ["config/dem.yaml", "demo.yaml"]),
    ],
)
def test_a_typo_is_named_with_its_neighbours(
    capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    assert main(["watch", *arguments]) == 1
    text = capsys.readouterr().err
    assert text.startswith("hearth: ")
    for part in parts:
        assert part in text
