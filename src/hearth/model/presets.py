"""Presets: named sizes of one network, and the frozen configuration that a bundle keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import SettingsError, choices
from hearth.core.sections import ModelSettings

MAXIMUM_STAGES = 15  # width of the stage head: no task has more (report, 4.2.1)


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the network's parameters and its losses.

    Attributes:
        preset: the name of the sizes.
        image_size: pixels, square; a multiple of `patch_size`.
        cameras: names in token order.
        horizon, action_width: H and D of an action chunk; the state has D numbers as well.
        action_groups: (name, start, stop) of the action dimensions, for reported losses.
        stage_counts: stages per task index, 0 where an index is unused.
        width, heads, head_width, mlp_width: of both transformers.
        prefix_layers, expert_layers: depths.
        stem_widths: hidden widths of the vision stem, one per merge but the last.
        patch_size: pixels a side of one image token.
        flow_samples: flow samples per prefix pass (report, 6.2).
        stage_loss_weight: weight of the stage loss (report, 6.3.2).
    """

    preset: str
    image_size: int
    cameras: tuple[str, ...]
    horizon: int
    action_width: int
    action_groups: tuple[tuple[str, int, int], ...]
    stage_counts: tuple[int, ...]
    width: int
    heads: int
    head_width: int
    mlp_width: int
    prefix_layers: int
    expert_layers: int
    stem_widths: tuple[int, ...]
    patch_size: int
    flow_samples: int
    stage_loss_weight: float

    def __post_init__(self) -> None:
        if self.image_size < self.patch_size or self.image_size % self.patch_size:
            raise SettingsError(
                f"preset '{self.preset}' takes images of a multiple of {self.patch_size} pixels, "
                f"not {self.image_size}"
            )
        if self.width % 2:
            raise SettingsError(f"width {self.width} must be even: stage encodings take half each")

    @property
    def tokens_per_camera(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def image_tokens(self) -> int:
        return self.tokens_per_camera * len(self.cameras)

    def as_dict(self) -> dict[str, Any]:
        """A mapping that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `as_dict`, also after a round trip through JSON.

        Raises:
            SettingsError: a key is missing or unknown.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                raise SettingsError(f"unknown model key '{key}': {choices(key, names)}")
        missing = [name for name in names if name not in values]
        if missing:
            raise SettingsError(f"model configuration lacks {', '.join(missing)}")
        return cls(**{key: _frozen(value) for key, value in values.items()})


# The sizes that learn within minutes on two CPU cores: an MLP stem on 4, 8 and 16 pixels, and
# transformers of two layers. Small beats big per second of training at this scale.
_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "width": 96,
        "heads": 3,
        "head_width": 32,
        "mlp_width": 384,
        "prefix_layers": 2,
        "expert_layers": 2,
        "stem_widths": (48, 96),
        "patch_size": 16,
    },
}


def config(
    settings: ModelSettings, benchmark: Benchmark, image_size: int, horizon: int = 30
) -> ModelConfig:
    """The network of `settings` for the robot, cameras and tasks of `benchmark`.

    Raises:
        SettingsError: no such preset, or the image size does not fit it.
    """
    if settings.preset not in _SIZES:
        raise SettingsError(
            f"unknown preset '{settings.preset}': {choices(settings.preset, _SIZES)}"
        )
    return ModelConfig(
        preset=settings.preset,
        image_size=image_size,
        cameras=tuple(benchmark.cameras),
        horizon=horizon,
        action_width=benchmark.robot.action_width,
        action_groups=tuple(
            (group.name, group.start, group.stop) for group in benchmark.robot.actions
        ),
        stage_counts=tuple(int(count) for count in benchmark.stage_counts()),
        flow_samples=settings.flow_samples,
        stage_loss_weight=settings.stage_loss_weight,
        **_SIZES[settings.preset],
    )


def _frozen(value: Any) -> Any:
    """Lists, as JSON gives them, become tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
