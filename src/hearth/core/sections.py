"""The sections of an experiment's settings, one per stage.

A workflow rule depends on its own section alone: a changed evaluation setting never touches
training.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hearth.core.errors import SettingsError, choices

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DemonstrationSettings(Section):
    """Demonstrations by the scripted experts of the embedded benchmark."""

    episodes_per_task: PositiveInt | dict[str, PositiveInt] = 200
    action_noise: NonNegativeFloat = 0.04  # rad, Ornstein-Uhlenbeck, on executed arm actions
    image_size: PositiveInt = 64  # pixels, square

    def episodes(self, task: str) -> int:
        """Episodes wanted of `task`."""
        if isinstance(self.episodes_per_task, int):
            return self.episodes_per_task
        if task not in self.episodes_per_task:
            raise SettingsError(
                f"demonstrations.episodes_per_task names no '{task}': "
                + choices(task, self.episodes_per_task)
            )
        return self.episodes_per_task[task]


class DataSettings(Section):
    """How demonstrations become prepared episodes."""

    dataset: str | None = None  # a LeRobot folder; None: the scripted experts make one
    image_size: PositiveInt = 64  # pixels; frames are resized with padding
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 90
    keep_every: PositiveInt = 1  # keep the images of every n-th frame; the table stays whole
    validation_fraction: Fraction = 0.0  # episodes held out, seeded, by episode
    allowed_bad_fraction: Fraction = 0.0


class StatisticsSettings(Section):
    """Normalisation and correlation of action chunks (report, 4.5 and 5.2)."""

    horizon: PositiveInt = 30
    chunk_stride: PositiveInt = 1  # 1: every chunk


class ModelSettings(Section):
    """The network. `preset` names its sizes (see hearth.model.presets)."""

    preset: Literal["tiny"] = "tiny"
    flow_samples: PositiveInt = 15  # flow samples per prefix pass (report, 6.2)
    correlation_shrinkage: Fraction = 0.5  # beta (report, 5.3)
    stage_loss_weight: NonNegativeFloat = 0.1


class RunSettings(Section):
    """One training run."""

    seed: NonNegativeInt = 0
    steps: NonNegativeInt = 7000  # 0: the untrained network
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 2e-3  # the peak, after warm-up
    final_learning_rate_fraction: Fraction = 0.02  # of the peak; stays there after the decay
    warmup_steps: NonNegativeInt = 100
    decay_steps: PositiveInt | None = None  # end of the cosine, warm-up included; None: `steps`
    weight_decay: NonNegativeFloat = 1e-4
    adam_beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999  # openpi: 0.95
    gradient_clip: PositiveFloat = 1.0  # largest global norm
    ema_decay: Fraction = 0.998
    state_noise: NonNegativeFloat = 0.02  # standard deviation on the normalised state
    # Augmentation; openpi fine-tunes Pi0.5 with crop 0.95, 5 degrees, brightness 0.3, contrast 0.4,
    # saturation 0.5, colours with probability 0.5.
    crop_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # side of the crop; 1: whole image
    rotation_degrees: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0  # largest angle, either way
    geometry_cameras: tuple[str, ...] = ("head",)  # the cameras that are cropped and rotated
    brightness_jitter: Fraction = 0.1  # factors are drawn from 1 - x .. 1 + x
    contrast_jitter: Fraction = 0.0
    saturation_jitter: Fraction = 0.0
    colour_probability: Fraction = 1.0  # of changing a sample's colours at all
    checkpoint_every: PositiveInt = 1000
    log_every: PositiveInt = 50
    devices: PositiveInt = 1

    @model_validator(mode="after")
    def _check_devices(self) -> RunSettings:
        if self.batch_size % self.devices:
            raise ValueError(
                f"batch_size {self.batch_size} is not divisible by devices {self.devices}; "
                f"valid batch sizes are multiples of {self.devices}"
            )
        return self


class RuntimeSettings(Section):
    """How a policy acts (report, 7)."""

    flow_steps: PositiveInt = 10
    actions_to_execute: PositiveInt = 12
    actions_to_keep: NonNegativeInt = 4  # inpainting targets of the next prediction
    inpainting: bool = True
    compression: PositiveFloat = 1.0  # predicted actions per executed step; 1.3 in the report
    stage_voting_window: PositiveInt = 3
    gripper_correction: bool = True


class EvaluationSettings(Section):
    """A named evaluation: a policy on a split."""

    policy: Name | dict[str, Name] = "main"  # a run, a mapping task -> run, or "expert"
    split: Literal["train", "validation", "public", "hidden"] = "public"
    instances: PositiveInt | None = None  # the first n of the split; None: all
    rollouts: PositiveInt = 1
    runtime: dict[str, Any] = {}  # overrides of the runtime section
    image_size: PositiveInt = 64
    workers: PositiveInt = 2  # simulator processes side by side
    attempts: PositiveInt = 3
    step_timeout_seconds: PositiveFloat = 120.0
    video: bool = True
    video_size: PositiveInt = 224

    @field_validator("runtime")
    @classmethod
    def _check_runtime(cls, runtime: dict[str, Any]) -> dict[str, Any]:
        for key in runtime:
            if key not in RuntimeSettings.model_fields:
                raise ValueError(
                    f"unknown runtime key '{key}': {choices(key, RuntimeSettings.model_fields)}"
                )
        RuntimeSettings.model_validate(runtime)
        return runtime

    def run_for(self, task: str) -> str:
        """The run (or "expert") that plays `task`."""
        if isinstance(self.policy, str):
            return self.policy
        if task not in self.policy:
            raise SettingsError(f"no policy for task '{task}': {choices(task, self.policy)}")
        return self.policy[task]


class ReportSettings(Section):
    """The leaderboard."""

    title: str = "hearth leaderboard"
    baseline: Name | None = None  # the evaluation that paired differences are taken against
    bootstrap_samples: PositiveInt = 10_000
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    allow_incomplete: bool = False
