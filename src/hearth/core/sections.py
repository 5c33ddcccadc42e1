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


def check_overrides(name: str, overrides: dict[str, Any], section: type[Section]) -> None:
    """Refuse overrides of a section that it would refuse itself."""
    for key in overrides:
        if key not in section.model_fields:
            raise ValueError(f"unknown {name} key '{key}': {choices(key, section.model_fields)}")
    section.model_validate(overrides)


class ModelSettings(Section):
    """The network: a preset's sizes, and every component of the method as a switch.

    None means the preset's own choice (see hearth.model.presets). docs/method.md lists where the
    public implementation chose otherwise.
    """

    preset: Literal["tiny", "small", "pi05"] = "tiny"
    flow_samples: PositiveInt = 15  # flow samples per prefix pass (report, 6.2)
    correlated_noise: bool = True  # False: independent flow noise (report, 5)
    correlation_shrinkage: Fraction = 0.5  # beta (report, 5.3)
    stage_loss_weight: NonNegativeFloat = 0.1  # report, 6.3.2
    stage_input: bool = True  # the four stage-task tokens (report, 4.2.2)
    kv_mixing: bool = True  # mixing of keys and values across layers (report, 4.3)
    knowledge_insulation: bool = False  # the action loss stops at the backbone's keys and values
    fast_loss_weight: NonNegativeFloat = 0.0  # 0.05 in the report (6.3.3); 0: no FAST tokens
    fast_vocabulary: PositiveInt = 1024  # report, appendix D
    fast_own_ids: bool = True  # False: beginning and padding are the legal token 0
    state_tokens: Literal["continuous", "discretised"] | None = None
    state_bins: Literal["quantiles", "unit"] = "quantiles"  # q01..q99, or -1..1 of the z-score
    padded_state_tokens: bool = False  # True: tokens of the padding dimensions as well
    suffix_positions: Literal["valid", "static"] = "valid"  # static: all tokens, in training
    padded_action_loss: bool = False  # True: padding dimensions carry noise and count in the loss
    vision_trainable: bool | None = None
    compute_dtype: Literal["float32", "bfloat16"] | None = None
    scan_layers: bool | None = None  # one compiled layer in a loop
    # What the backward pass finds in memory: everything, nothing but each layer's input, or some of
    # its activations (hearth.model.stacking).
    remat: Literal["none", "full", "dots", "attention", "gate"] | None = None


class LoaderSettings(Section):
    """How a run reads its episodes. The first two change what it learns, the rest how fast."""

    # Share of a task in proportion to its frames ** this. 1: uniform over frames; 0: tasks alike.
    task_temperature: Fraction = 1.0
    mask_padding: bool = True  # keep actions after an episode's end out of the loss; openpi: false
    workers: NonNegativeInt = 0  # processes that decode; 0: threads of the training process
    threads: PositiveInt = 2  # without processes; some four saturate Python's lock
    batches_ahead: PositiveInt = 4  # with processes of each, in shared memory
    image_memory_bytes: NonNegativeInt = 2 * 2**30  # without processes: keep images that all fit


class RunSettings(Section):
    """One training run."""

    tasks: tuple[str, ...] | None = None  # that it trains on; null: all of the experiment
    model: dict[str, Any] = {}  # overrides of the model section
    # Overrides of the statistics section, for a fresh start (hearth.core.own_statistics).
    statistics: dict[str, Any] = {}
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
    # Start from these weights: an openpi checkpoint, a policy bundle, or a checkpoint of another
    # run. Null: a fresh start.
    initial_weights: str | None = None
    # Start from the finished policy of this run of the experiment, with a fresh optimizer.
    initialise_from: Name | None = None
    loader: LoaderSettings = LoaderSettings()
    checkpoint_every: PositiveInt = 1000
    checkpoints_kept: PositiveInt = 2  # the newest, and one in case that turns out unreadable
    log_every: PositiveInt = 50
    # Losses of the averaged weights on held-out episodes (data.validation_fraction), every so many
    # steps and at the end; 0: never. Always the same batches and the same flow noise.
    validation_every: NonNegativeInt = 0
    validation_batches: PositiveInt = 8
    maximum_loss: PositiveFloat = 1e3  # beyond it a run stops; an untrained network has about 2
    # Without a sign of life for so long a run ends, to be resumed: a collective that waits for a
    # lost node would wait for ever.
    start_timeout_seconds: PositiveFloat = 3600.0  # until the first step, which compiles, is done
    step_timeout_seconds: PositiveFloat = 1800.0  # of a step, its batch, or writing a checkpoint
    # What one device can compute, for the share that training uses; an H200: 989 in bfloat16.
    # Null: not shown.
    peak_teraflops: PositiveFloat | None = None
    devices: PositiveInt = 1  # of all nodes together; they share the batch and the weights
    accumulation_steps: PositiveInt = 1  # parts of a batch computed one after another, for memory

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: dict[str, Any]) -> dict[str, Any]:
        check_overrides("model", model, ModelSettings)
        if "fast_vocabulary" in model:
            raise ValueError(
                "model.fast_vocabulary belongs to the experiment's one tokenizer; set it in the "
                "section 'model'"
            )
        return model

    @field_validator("tasks")
    @classmethod
    def _check_tasks(cls, tasks: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if tasks is not None and not tasks:
            raise ValueError("an empty list of tasks: name some, or leave 'tasks' out for all")
        return tasks

    @model_validator(mode="after")
    def _check_start(self) -> RunSettings:
        if self.initial_weights is not None and self.initialise_from is not None:
            raise ValueError(
                f"initial_weights {self.initial_weights} and initialise_from "
                f"{self.initialise_from} are two starts: give one"
            )
        return self

    @model_validator(mode="after")
    def _check_devices(self) -> RunSettings:
        unit = self.devices * self.accumulation_steps
        if self.batch_size % unit:
            raise ValueError(
                f"batch_size {self.batch_size} is not divisible by devices {self.devices} x "
                f"accumulation_steps {self.accumulation_steps}; valid batch sizes are multiples "
                f"of {unit}"
            )
        return self


class ReturnToStage(Section):
    """Task rule: a policy that reaches stage `at` goes back to stage `to` (report, 7.4.2)."""

    rule: Literal["return_to_stage"] = "return_to_stage"
    at: PositiveInt
    to: NonNegativeInt

    @model_validator(mode="after")
    def _check_back(self) -> ReturnToStage:
        if self.to >= self.at:
            raise ValueError(f"to {self.to} must lie before at {self.at}")
        return self


class OpenUnlessOtherHolds(Section):
    """Task rule: from a stage on, a closed hand opens unless the other one holds something."""

    rule: Literal["open_unless_other_holds"] = "open_unless_other_holds"
    from_stage: NonNegativeInt = 0


TaskRule = Annotated[ReturnToStage | OpenUnlessOtherHolds, Field(discriminator="rule")]


class RuntimeSettings(Section):
    """How a policy acts (report, 7). Each component is switched by its own key."""

    flow_steps: PositiveInt = 10  # Euler steps; 20 in the winning run
    correlated_noise: bool = True  # False: sample from independent noise (report, 5)
    actions_to_execute: PositiveInt = 12  # predicted actions used up before the next prediction
    actions_to_keep: NonNegativeInt = 4  # the actions after them: inpainting targets
    inpainting: bool = True
    # The second choice of each is the public code's (see hearth.model.inpainting).
    inpainting_threshold: Literal["steps", "time"] = "steps"
    inpainting_large_correction: Literal["sample", "batch"] = "sample"
    inpainting_padding: bool = False  # True: also hold the padding dimensions, at zero
    compression: PositiveFloat = 1.0  # predicted actions per executed step: 26 in 20 steps at 1.3
    scale_base_velocity: bool = True  # times the compression, so that the base goes as far
    # Compression is off while a gripper's planned values, in [-1, 1], span more; null: never off.
    compression_gripper_span: NonNegativeFloat | None = 0.2
    # vote: the majority of recent predictions; latest: each prediction at once; fixed: stage 0.
    stage_tracking: Literal["vote", "latest", "fixed"] = "vote"
    stage_voting_window: PositiveInt = 3
    stage_rollback_from_last: bool = True  # False: the last stage is never left, as in public code
    gripper_correction: bool = True  # open a hand closed where it never was (report, 7.4.1)
    # By task, per hand (left, right) the first stage where it may be closed, null for never; "*"
    # stands for all other tasks. Tasks without an entry follow their demonstrations.
    gripper_closures: dict[str, tuple[NonNegativeInt | None, ...]] = {}
    task_rules: dict[str, tuple[TaskRule, ...]] = {}  # tried in order, before the gripper rule
    clip_actions: bool = True  # to the robot's limits


class SwitchedPolicy(Section):
    """A policy of several bundles, one per task (report, 6.4): the file that `hearth serve` reads.

    Where not all may stay loaded, the least recently used one goes first. Without a limit bundles
    may take four fifths of an accelerator's memory; on a CPU all of them stay.
    """

    bundles: Annotated[dict[str, str], Field(min_length=1)]  # task -> folder, beside this file
    resident_bundles: PositiveInt | None = None  # how many different bundles stay loaded
    resident_bytes: PositiveInt | None = None  # of parameters in all that stay loaded


class ServingSettings(Section):
    """How the policy server gathers requests, and what it refuses."""

    batch_window_milliseconds: NonNegativeFloat = 3.0  # the longest wait of a request for others
    # Rows of a prediction, each compiled at the start. With one size alone, what a client gets is
    # bit for bit what it would get alone; with several, within rounding: 1e-5 in float32, some
    # 2e-3 in bfloat16.
    batch_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 4, 16)
    connections: PositiveInt = 256  # at once; more are refused
    # Of one request; three 720-pixel cameras with depth are some 10 MB.
    message_bytes: Annotated[int, Field(ge=1, le=64 * 2**20)] = 64 * 2**20
    # On a port that evaluators share, how long a lost connection may still come back; until then a
    # connection that goes on without a reset is ambiguous and refused.
    reconnect_seconds: NonNegativeFloat = 60.0
    drain_seconds: NonNegativeFloat = 0.0  # after SIGTERM, for episodes under way to end

    @field_validator("batch_sizes")
    @classmethod
    def _check_sizes(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if list(sizes) != sorted(set(sizes)):
            raise ValueError(f"batch_sizes {list(sizes)} must rise, such as [1, 4, 16]")
        return sizes


class PlaySettings(Section):
    """How many episodes are played, and how; what every evaluation has."""

    instances: PositiveInt | None = None  # the first n of the split; None: all
    rollouts: PositiveInt = 1
    runtime: dict[str, Any] = {}  # overrides of the runtime section
    image_size: PositiveInt = 64
    workers: PositiveInt = 2  # simulator processes side by side
    attempts: PositiveInt = 3
    # Without a sign of life for so long, a process counts as hanging and is replaced.
    start_timeout_seconds: PositiveFloat = 900.0  # while a simulator or a server starts
    step_timeout_seconds: PositiveFloat = 120.0  # during an episode
    video: bool = True
    video_size: PositiveInt = 224
    # Stages, corrections and overlap errors of every prediction, beside the episode's result.
    trace: bool = True
    trace_chunk_pairs: NonNegativeInt = 4  # of whole chunks in it, spread over the episode

    @field_validator("runtime")
    @classmethod
    def _check_runtime(cls, runtime: dict[str, Any]) -> dict[str, Any]:
        check_overrides("runtime", runtime, RuntimeSettings)
        return runtime


class EvaluationSettings(PlaySettings):
    """A named evaluation: a policy on a split."""

    # A run, a mapping task -> run, "expert", or "finetuned": each task's own of the second phase.
    policy: Name | dict[str, Name] = "main"
    split: Literal["train", "validation", "public", "hidden"] = "public"

    def policy_for(self, task: str) -> str:
        """What stands in `policy` for `task`."""
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
