"""The sections of an experiment's settings about its data, from demonstrations to FAST tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hearth.core.errors import SettingsError, choices
from hearth.core.sections import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Section


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
    # jpeg: every image by itself, 10 kB at 224 pixels; h264: packets, 1.4 kB, random access at a
    # quarter of the speed; auto: jpeg if all images of the experiment stay within the limit below.
    codec: Literal["jpeg", "h264", "auto"] = "auto"
    jpeg_limit_gigabytes: PositiveFloat = 500.0
    group_of_pictures: PositiveInt = 4  # h264: frames from one key frame to the next
    h264_quality: Annotated[int, Field(ge=0, le=51)] = 20  # x264's constant rate factor
    # time: equal parts of an episode (report, 6.1); annotations: runs of annotated skills.
    stage_labels: Literal["time", "annotations"] = "time"
    validation_fraction: Fraction = 0.0  # episodes held out, seeded, by episode
    allowed_bad_fraction: Fraction = 0.0  # of a task's episodes; more bad ones are an error

    @model_validator(mode="after")
    def _check_size(self) -> DataSettings:
        if self.codec != "jpeg" and self.image_size % 2:
            raise ValueError(
                f"codec {self.codec} needs an even image_size, not {self.image_size}: h264 halves "
                "the colours; choose codec jpeg or another size"
            )
        return self


class StatisticsSettings(Section):
    """Normalisation and correlation of action chunks (report, 4.5 and 5.2)."""

    horizon: PositiveInt = 30  # actions per chunk, one second at 30 Hz (report, 3)
    delta_actions: bool = True  # joints against the state at the chunk's start; False: absolute
    # What is normalised per chunk index (report, 4.5.2). True: joints; "all": velocities and
    # grippers as well, as in the public code; False: nothing, global statistics throughout.
    per_timestep: bool | Literal["all"] = True


class TokenizerSettings(Section):
    """The FAST tokenizer of action chunks (report, 4.7 and appendix D).

    Its vocabulary is the network's: model.fast_vocabulary.
    """

    # Ranges "start:stop"; all dimensions of the R1 Pro but one that never moves in the 2025 set.
    encoded_dimensions: Annotated[str, Field(pattern=r"^\d+:\d+(,\d+:\d+)*$")] = "0:6,7:23"
    scale: PositiveFloat = 10.0  # rounding steps per unit of a coefficient (Pertsch et al., 2025)
    coefficient_limit: PositiveInt = 255  # rounding steps; coefficients beyond are clipped
    maximum_tokens: PositiveInt = 200  # a chunk; the rest, of the highest frequencies, is cut off
    training_chunks: PositiveInt = 8192  # sampled from all tasks alike
    evaluation_chunks: PositiveInt = 2048  # others, to measure errors and lengths

    @field_validator("encoded_dimensions")
    @classmethod
    def _check_dimensions(cls, text: str) -> str:
        bounds = [int(bound) for part in text.split(",") for bound in part.split(":")]
        starts, stops = bounds[::2], bounds[1::2]
        empty = any(start >= stop for start, stop in zip(starts, stops, strict=True))
        if empty or any(stop > start for stop, start in zip(stops, starts[1:], strict=False)):
            raise ValueError(f"'{text}' must be rising ranges start:stop that do not overlap")
        return text

    def dimensions(self) -> list[int]:
        """The encoded action dimensions, rising."""
        ranges = (part.split(":") for part in self.encoded_dimensions.split(","))
        return [number for start, stop in ranges for number in range(int(start), int(stop))]
