"""The size of prepared episodes, before they exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.data_sections import DataSettings
from hearth.core.errors import DataError
from hearth.data.estimate import as_text, check_disk, estimate


def test_the_whole_2025_set_is_kept_as_h264_and_a_task_as_jpeg() -> None:
    data = DataSettings(image_size=224)
    whole, task = (estimate(data, frames, 3) for frames in (119_000_000, 430_000))
    assert whole.codec == "h264" and task.codec == "jpeg"
    assert 3.3e12 < whole.by_codec["jpeg"] < 4e12 and 4e11 < whole.bytes < 6e11
    assert "codec h264" in whole.describe("all") and "3.6 TB" in whole.describe("all")


@given(st.integers(1, 10**9), st.integers(1, 30), st.sampled_from(["jpeg", "h264"]))
def test_a_named_codec_is_taken_whatever_the_size(frames: int, every: int, codec: str) -> None:
    data = DataSettings.model_validate({"codec": codec, "keep_every": every})
    found, more = estimate(data, frames, 3), estimate(data, frames + 100, 3)
    assert found.codec == codec and 0 < found.bytes < more.bytes
    assert found.by_codec["h264"] < found.by_codec["jpeg"]


def test_no_room(tmp_path: Path) -> None:
    check_disk(tmp_path, 0)
    with pytest.raises(DataError, match=r"free; preparing needs about 2000.0 TB"):
        check_disk(tmp_path, 10**15)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e12, "2.5 TB")]
)
def test_bytes_for_people(size: float, text: str) -> None:
    assert as_text(size) == text
