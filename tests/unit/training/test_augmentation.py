from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings

from hearth.core.errors import SettingsError
from hearth.core.sections import RunSettings
from hearth.core.selection import check_cameras
from hearth.training.augmentation import augment, crop_and_rotate, luminance

from .conftest import make_batch

STILL: dict[str, Any] = {"state_noise": 0.0, "brightness_jitter": 0.0}
# As openpi fine-tunes Pi0.5.
PI05: dict[str, Any] = {
    "state_noise": 0.0, "crop_fraction": 0.95, "rotation_degrees": 5.0, "brightness_jitter": 0.3,
    "contrast_jitter": 0.4, "saturation_jitter": 0.5, "colour_probability": 0.5,
}  # fmt: skip
MIDDLE = jnp.array([0.5, 0.5])


def picture(seed: int = 0, height: int = 9, width: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)


def changed(batch: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return augment(batch, jax.random.key(0), RunSettings(**{**STILL, **settings}))


def test_the_default_changes_state_and_brightness_only() -> None:
    batch = make_batch(0, batch_size=64)
    out = augment(batch, jax.random.key(0), RunSettings())
    difference = np.asarray(out["state"]) - batch["state"]
    assert 0.018 < difference.std() < 0.022
    for name, image in batch["images"].items():
        ratio = np.asarray(out["images"][name]) / np.maximum(image, 1)
        inside = (image > 0) & (image < 230)
        assert ratio[inside].min() >= 0.9 - 1e-5 and ratio[inside].max() <= 1.1 + 1e-5
        per_image = [ratio[i][inside[i]] for i in range(64)]
        assert max(np.ptp(values) for values in per_image) < 1e-5, "one factor an image"
        assert np.std([values[0] for values in per_image]) > 0.03
    for key in ("actions", "action_mask", "task", "stage"):
        assert out[key] is batch[key]


def test_no_strength_leaves_the_numbers() -> None:
    batch = make_batch(0)
    out = changed(batch)
    np.testing.assert_array_equal(out["state"], batch["state"])
    for name, image in batch["images"].items():
        np.testing.assert_array_equal(out["images"][name], image)


def test_all_of_it_keeps_shape_type_and_range_and_depends_on_the_key_alone() -> None:
    batch = make_batch(0, batch_size=16)
    first, again, other = (
        augment(batch, jax.random.key(seed), RunSettings(**PI05)) for seed in (0, 0, 1)
    )
    for name, image in batch["images"].items():
        out = np.asarray(first["images"][name])
        assert out.shape == image.shape and out.dtype == np.float32
        assert out.min() >= 0.0 and out.max() <= 255.0
        np.testing.assert_array_equal(out, again["images"][name])
        assert np.abs(out - np.asarray(other["images"][name])).mean() > 1.0


def test_geometry_changes_the_named_cameras_only() -> None:
    batch = make_batch(0)
    out = changed(batch, crop_fraction=0.8, rotation_degrees=5.0)
    for name, image in batch["images"].items():
        moved = np.abs(np.asarray(out["images"][name]) - image).max() > 1.0
        assert moved == (name == "head")


def test_every_sample_draws_its_own_geometry() -> None:
    batch = make_batch(0)
    batch["images"]["head"][:] = batch["images"]["head"][:1]
    out = np.asarray(changed(batch, rotation_degrees=5.0)["images"]["head"])
    assert all(np.abs(out[0] - out[index]).max() > 1.0 for index in range(1, len(out)))


def test_a_quarter_turn_is_anticlockwise() -> None:
    image = picture()
    out = crop_and_rotate(jnp.asarray(image), 1.0, MIDDLE, np.pi / 2)
    np.testing.assert_allclose(out, np.rot90(image), atol=2e-3)


@pytest.mark.parametrize(("place", "rows"), [(0.0, slice(0, 4)), (1.0, slice(4, 8))])
def test_a_crop_of_half_enlarges_that_half(place: float, rows: slice) -> None:
    image = picture(height=8, width=8)
    out = crop_and_rotate(jnp.asarray(image), 0.5, jnp.full(2, place), 0.0)
    expected = jax.image.resize(jnp.asarray(image[rows, rows]), (8, 8, 3), "bilinear")
    # At the inner border of the part the resampling may look one pixel beyond it.
    inner = slice(1, -1)
    np.testing.assert_allclose(out[inner, inner], expected[inner, inner], atol=1e-3)


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    fraction=strategies.floats(0.3, 1.0),
    place=strategies.tuples(strategies.floats(0, 1), strategies.floats(0, 1)),
    angle=strategies.floats(-3.0, 3.0),
)
def test_resampling_never_leaves_the_range_of_the_picture(
    fraction: float, place: tuple[float, float], angle: float
) -> None:
    image = picture()
    out = np.asarray(crop_and_rotate(jnp.asarray(image), fraction, jnp.array(place), angle))
    assert out.min() >= image.min() - 1e-2 and out.max() <= image.max() + 1e-2


def test_contrast_keeps_the_mean_brightness_and_saturation_every_pixels() -> None:
    batch = make_batch(0, batch_size=8)
    grey = {name: 96 + image // 4 for name, image in batch["images"].items()}  # nothing to clip
    batch = {**batch, "images": grey}
    contrast = changed(batch, contrast_jitter=0.4)["images"]["head"]
    saturation = changed(batch, saturation_jitter=0.5)["images"]["head"]
    before = grey["head"].astype(np.float32)
    brightness = np.asarray(luminance(jnp.asarray(before)))
    np.testing.assert_allclose(
        luminance(contrast).mean((1, 2, 3)), brightness.mean((1, 2, 3)), rtol=1e-4
    )
    spread = np.asarray(contrast).std((1, 2, 3)) / before.std((1, 2, 3))
    assert spread.min() >= 0.6 - 1e-3 and spread.max() <= 1.4 + 1e-3 and np.ptp(spread) > 0.1
    np.testing.assert_allclose(luminance(saturation), brightness, atol=1e-2)
    assert np.abs(np.asarray(saturation) - before).max() > 5.0


def test_colours_change_with_the_stated_probability() -> None:
    batch = make_batch(0, batch_size=400)
    out = changed(batch, brightness_jitter=0.5, colour_probability=0.25)
    unchanged = [
        np.array_equal(out["images"]["head"][index], batch["images"]["head"][index])
        for index in range(400)
    ]
    assert 0.67 < np.mean(unchanged) < 0.83


def test_an_unknown_camera_is_refused_where_it_would_be_used() -> None:
    cameras = ("head", "left_wrist", "right_wrist")
    wrong = RunSettings(geometry_cameras=("haed",), crop_fraction=0.95)
    with pytest.raises(SettingsError, match=r"'haed': did you mean 'head'.*left_wrist"):
        check_cameras(wrong, cameras)
    check_cameras(RunSettings(geometry_cameras=("haed",)), cameras)
    check_cameras(RunSettings(**PI05), cameras)


@pytest.mark.parametrize(
    "values", [{"crop_fraction": 0.0}, {"rotation_degrees": -1.0}, {"contrast_jitter": 1.5}]
)
def test_impossible_strengths_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        RunSettings(**values)
