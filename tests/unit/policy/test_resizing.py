from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.data.resize import resize_with_padding
from hearth.policy.resizing import resize_on_device


def check(height: int, width: int, channels: int, size: int) -> None:
    """Two images at once, each as Pillow makes it."""
    random = np.random.default_rng(height * width)
    images = random.integers(0, 256, (2, height, width, channels), dtype=np.uint8)
    found = resize_on_device(images, size)
    assert found.dtype == np.uint8
    expected = np.stack([resize_with_padding(image, size) for image in images])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("height", "width"), [(720, 720), (480, 480), (224, 224), (720, 1280), (60, 100)]
)
@pytest.mark.parametrize("channels", [3, 4])
def test_the_evaluators_cameras(height: int, width: int, channels: int) -> None:
    check(height, width, channels, 224)


@settings(max_examples=15)
@given(st.integers(2, 200), st.integers(2, 200), st.sampled_from([3, 4]), st.sampled_from([32, 64]))
def test_equals_pillow_bit_for_bit(height: int, width: int, channels: int, size: int) -> None:
    check(min(height, width), max(height, width), channels, size)
