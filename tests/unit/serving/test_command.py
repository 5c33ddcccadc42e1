"""``python -m hearth.serving``: what is refused before a port is opened."""

from __future__ import annotations

import pytest

from hearth.serving.__main__ import main


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--runtime", "{"], "is not JSON"),
        (["--runtime", "[1]"], "must be a JSON object"),
        ([], "no policy bundle at"),
    ],
)
def test_bad_input_is_named_and_the_exit_code_is_not_zero(tmp_path, capsys, arguments, message):
    assert main(["--policy", str(tmp_path / "policy"), *arguments]) == 1
    assert message in capsys.readouterr().err
