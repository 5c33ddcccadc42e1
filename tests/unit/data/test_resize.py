from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hearth.data.resize import resize_with_padding


def plain(image: np.ndarray, size: int) -> np.ndarray:
    """The public policies' way, step by step: RGB, Pillow, paste into black."""
    height, width = image.shape[:2]
    rows, columns = height * size // max(height, width), width * size // max(height, width)
    picture = Image.fromarray(np.ascontiguousarray(image[..., :3]))
    out = Image.new("RGB", (size, size), 0)
    small = picture.resize((max(1, columns), max(1, rows)), Image.Resampling.BILINEAR)
    out.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return np.asarray(out)


def noise(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300), st.sampled_from([3, 4]), st.sampled_from([32, 64]))
def test_equals_pillow_bit_for_bit(height: int, width: int, channels: int, size: int) -> None:
    image = noise(height, width, channels)
    np.testing.assert_array_equal(resize_with_padding(image, size), plain(image, size))


@pytest.mark.parametrize(("height", "width"), [(720, 720), (480, 480), (224, 224), (720, 1280)])
def test_the_evaluators_cameras(height: int, width: int) -> None:
    image = noise(height, width, 4)
    np.testing.assert_array_equal(resize_with_padding(image, 224), plain(image, 224))


def test_an_image_of_the_size_is_not_copied() -> None:
    image = noise(32, 32, 3)
    assert resize_with_padding(image, 32) is image
    view = noise(100, 100, 4)[::2, ::2]
    np.testing.assert_array_equal(resize_with_padding(view, 32), plain(view, 32))
