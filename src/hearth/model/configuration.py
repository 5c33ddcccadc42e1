"""The network's configuration: everything that fixes its parameters, its tokens and its losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

from hearth.core.errors import SettingsError, choices

MAXIMUM_STAGES = 15  # width of the stage head: no task has more (report, 4.2.1)
STATE_BINS = 256  # values of a discretised state token, as in Pi0.5


class LayerShape(NamedTuple):
    """Widths of a transformer layer; `heads` query heads share `kv_heads` key and value heads."""

    width: int
    mlp_width: int
    heads: int
    kv_heads: int
    head_width: int


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the network.

    Attributes:
        preset: the name of the sizes.
        image_size: pixels, square; a multiple of `patch_size`.
        cameras: names in token order.
        horizon, action_width: H and D of an action chunk; the state has D numbers as well.
        action_groups: (name, start, stop) of the action dimensions, for reported losses.
        stage_counts: stages per task index, 0 where an index is unused.
        width, mlp_width, prefix_layers: of the backbone.
        expert_width, expert_mlp_width, expert_layers: of the action expert.
        heads, kv_heads, head_width: of both, because the expert reads the backbone's keys.
        patch_size: pixels a side of one image token.
        stem_widths: hidden widths of the patch stem, one per merge but the last; none: one
            linear layer, as in SigLIP.
        vision_width, vision_mlp_width, vision_heads, vision_layers: of the vision transformer;
            without layers the stem's tokens go to the backbone as they are.
        camera_table: a learned vector per camera on its tokens.
        position_scale: standard deviation of image positions and camera vectors at the start.
        gate_start: residual gates of the action expert at the start, 0 closed, 1 open.
        padded_action_width: action width of the action expert's first and last layer, >= D.
        embedding_rows: rows of the table of state tokens, of which the first 256 are read.
        state_tokens: `discretised`, a token per dimension; `continuous`, one token for all.
        state_ranges: (low, high) of each state dimension, in units of the normalised state, over
            which its 256 bins span; for discretised states.
        stage_input: whether the four stage-task tokens are in the prefix.
        kv_mixing: whether the expert reads learned mixtures of the backbone's layers.
        knowledge_insulation: whether the action loss stops at the backbone's keys and values.
        suffix_positions: where positions of action tokens begin: `valid`, after the number of
            valid prefix tokens; `static`, in training after all of them.
        correlated_noise: whether flow noise has the correlation of actions.
        padded_action_loss: whether padding dimensions of actions carry noise and count in the loss.
        flow_samples: flow samples per prefix pass (report, 6.2).
        stage_loss_weight, fast_loss_weight: weights of the losses (report, 6.3); no FAST tokens
            where the latter is 0.
        fast_vocabulary: number of FAST tokens.
        fast_own_ids: whether beginning and padding have ids of their own, not token 0.
        compute_dtype: numbers that the transformers compute with; parameters are float32.
        vision_trainable: False: no gradient, and parameters kept in the compute type.
        scan_layers: one compiled layer run in a loop; False: all layers one after another.
        remat: what the backward pass recomputes (see hearth.model.stacking).
    """

    preset: str
    image_size: int
    cameras: tuple[str, ...]
    horizon: int
    action_width: int
    action_groups: tuple[tuple[str, int, int], ...]
    stage_counts: tuple[int, ...]
    width: int
    mlp_width: int
    prefix_layers: int
    expert_width: int
    expert_mlp_width: int
    expert_layers: int
    heads: int
    kv_heads: int
    head_width: int
    patch_size: int
    stem_widths: tuple[int, ...]
    vision_width: int
    vision_mlp_width: int
    vision_heads: int
    vision_layers: int
    camera_table: bool
    position_scale: float
    gate_start: float
    padded_action_width: int
    embedding_rows: int
    state_tokens: Literal["continuous", "discretised"]
    state_ranges: tuple[tuple[float, float], ...]
    stage_input: bool
    kv_mixing: bool
    knowledge_insulation: bool
    suffix_positions: Literal["valid", "static"]
    correlated_noise: bool
    padded_action_loss: bool
    flow_samples: int
    stage_loss_weight: float
    fast_loss_weight: float
    fast_vocabulary: int
    fast_own_ids: bool
    compute_dtype: Literal["float32", "bfloat16"]
    vision_trainable: bool
    scan_layers: bool
    remat: str

    def __post_init__(self) -> None:
        if self.image_size < self.patch_size or self.image_size % self.patch_size:
            raise SettingsError(
                f"preset '{self.preset}' takes images of a multiple of {self.patch_size} pixels, "
                f"not {self.image_size}"
            )
        for name in ("width", "expert_width", "head_width"):
            if getattr(self, name) % 2:
                raise SettingsError(
                    f"{name} {getattr(self, name)} must be even: encodings take half each"
                )
        if self.heads % self.kv_heads:
            raise SettingsError(
                f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}"
            )
        if self.vision_layers and self.vision_width % self.vision_heads:
            raise SettingsError(
                f"vision_width {self.vision_width} must be a multiple of vision_heads "
                f"{self.vision_heads}"
            )
        if not self.vision_layers and self.vision_width != self.width:
            raise SettingsError(
                f"without vision layers vision_width {self.vision_width} must be the backbone's "
                f"width {self.width}"
            )
        if self.padded_action_width < self.action_width:
            raise SettingsError(
                f"padded_action_width {self.padded_action_width} is below the robot's "
                f"{self.action_width}"
            )
        if not self.kv_mixing and self.prefix_layers != self.expert_layers:
            raise SettingsError(
                f"without kv_mixing the expert needs as many layers as the backbone: "
                f"{self.expert_layers} and {self.prefix_layers}"
            )
        self._check_state()

    def _check_state(self) -> None:
        if self.state_tokens == "continuous":
            return
        if len(self.state_ranges) < self.action_width:
            raise SettingsError(
                f"discretised states need a range per dimension: {len(self.state_ranges)} given, "
                f"{self.action_width} needed (quantiles come from the statistics)"
            )
        for index, (low, high) in enumerate(self.state_ranges):
            if not low < high:
                raise SettingsError(f"state range {index} is empty: {low} to {high}")

    @property
    def tokens_per_camera(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def image_tokens(self) -> int:
        return self.tokens_per_camera * len(self.cameras)

    @property
    def state_token_count(self) -> int:
        return 1 if self.state_tokens == "continuous" else len(self.state_ranges)

    @property
    def flow_width(self) -> int:
        """Width of the flow's points: D, or more where padding carries noise."""
        return self.padded_action_width if self.padded_action_loss else self.action_width

    @property
    def fast(self) -> bool:
        """Whether training has FAST tokens."""
        return self.fast_loss_weight > 0.0

    @property
    def frozen(self) -> tuple[str, ...]:
        """First parts of the names of parameters that training leaves alone."""
        return () if self.vision_trainable else ("vision",)

    @property
    def backbone_shape(self) -> LayerShape:
        return LayerShape(
            self.width, self.mlp_width, self.heads, self.kv_heads, self.head_width
        )  # fmt: skip

    @property
    def expert_shape(self) -> LayerShape:
        return LayerShape(
            self.expert_width, self.expert_mlp_width, self.heads, self.kv_heads, self.head_width
        )

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


def _frozen(value: Any) -> Any:
    """Lists, as JSON gives them, become tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
