"""The graphics backend: the user's choice first, then what the machine has."""

from __future__ import annotations

import pytest

from hearth.core.errors import SimulationError
from hearth.simulation.household import graphics


@pytest.mark.parametrize(
    ("libraries", "backend"),
    [
        ({"EGL", "GL", "OSMesa"}, "egl"),
        ({"EGL", "OSMesa"}, "osmesa"),
        ({"EGL"}, "disable"),
        (set(), "disable"),
    ],
)
def test_backend_follows_the_libraries(monkeypatch, libraries: set[str], backend: str):
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setattr(
        graphics.ctypes.util, "find_library", lambda name: name if name in libraries else None
    )
    assert graphics.select_backend() == backend
    assert graphics.os.environ["MUJOCO_GL"] == backend


def test_the_users_choice_stands(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    assert graphics.select_backend() == "glfw"


def test_drawing_keeps_to_one_thread_unless_the_user_wants_more(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.delenv("LP_NUM_THREADS", raising=False)
    graphics.select_backend()
    assert graphics.os.environ["LP_NUM_THREADS"] == "0"
    monkeypatch.setenv("LP_NUM_THREADS", "2")
    graphics.select_backend()
    assert graphics.os.environ["LP_NUM_THREADS"] == "2"


def test_an_unknown_backend_names_the_valid_ones(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "elg")
    with pytest.raises(SimulationError, match=r"'elg'.*did you mean 'egl'.*osmesa"):
        graphics.graphics_context(8, 8)


def test_a_backend_that_fails_says_what_to_install(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "egl")

    class Broken:
        @staticmethod
        def GLContext(width, height):  # noqa: N802
            raise AttributeError("no library")

    monkeypatch.setattr(graphics.importlib, "import_module", lambda _: Broken)
    with pytest.raises(SimulationError, match=r"libosmesa6.*egl failed with: no library"):
        graphics.graphics_context(8, 8)
