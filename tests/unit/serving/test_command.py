"""``python -m hearth.serving``: what is refused before a port is opened."""

from __future__ import annotations

import argparse
import socket

import pytest

from hearth import cli
from hearth.serving.__main__ import main
from hearth.serving.options import add_options


def test_no_other_machine_reaches_the_server_unless_it_is_told():
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert parser.parse_args(["--policy", "policy"]).host == "127.0.0.1"


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


def test_a_port_in_use_is_found_before_the_policy_is_loaded(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ["serve", "--policy", str(tmp_path / "policy"), "--port", str(port)]
        assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert f"port {port} on 127.0.0.1 is in use; stop what listens there" in said
    assert cli.main(words) == 1
    assert "no policy bundle at" in capsys.readouterr().err
