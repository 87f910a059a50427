"""A recipe: every number that can move a member's score, each read in exactly one place.

A preset is the recipe with the few fields that differ; `--set field=value` is one more.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cells.errors import RecipeError
from cells.policy import Dose, Policy
from trainers.fields import value_at
from trainers.storage import Storage

SAID_ELSEWHERE = {  # what one may take for a field of a member, and how it is said
    "name": "its name. Another member is another command: bcsub train {value}",
    "seed": "the run's seed. It is an option: bcsub train {name} --seed {value}",
    "shares": "the split, which all members share: bcsub prepare ARCHIVE --shares {value}",
}

Size = Annotated[int, Field(ge=1)]


class Phase(BaseModel):
    """One phase of fine-tuning.

    epochs: at most. peak_lr: reached after warmup_epochs (fractions count), from 0 linearly.
    schedule: cosine down to final_lr at the last epoch; exponential, times `decay` an epoch and
    never below final_lr; plateau, times plateau_factor after every plateau_patience epochs without
    a better inner score.
    patience: epochs without a better inner score before the phase ends; 0: never.
    trainable_fraction: of the backbone's layers, counted from the last; trainable_layers counts
    them instead. The head always trains, in a `HeadPhase` alone unless one of them is set.
    stages: staged unfreezing; the phase is cut into so many parts, and of the layers that may train
    the last 1/stages do in the first part, all in the last. Patience counts in the last part only,
    and each part begins with fresh moments of the optimiser.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(ge=1)
    peak_lr: float = Field(gt=0)
    final_lr: float = Field(0.0, ge=0)
    schedule: Literal["cosine", "exponential", "plateau"] = "cosine"
    decay: float = Field(0.9, gt=0, le=1)
    plateau_factor: float = Field(0.2, gt=0, lt=1)
    plateau_patience: int = Field(4, ge=1)
    warmup_epochs: float = Field(0.0, ge=0)
    patience: int = Field(0, ge=0)
    trainable_fraction: float = Field(1.0, ge=0, le=1)
    trainable_layers: int | None = Field(None, ge=0)
    stages: int = Field(1, ge=1)

    @field_validator("trainable_layers", mode="before")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return None if value == "none" else value

    @model_validator(mode="after")
    def _fits(self) -> "Phase":
        if self.final_lr > self.peak_lr:
            raise ValueError(
                f"final_lr: expected at most peak_lr, {self.peak_lr:g}, got {self.final_lr:g}"
            )
        if self.stages > self.epochs:
            raise ValueError(f"stages: expected at most {self.epochs} epochs, got {self.stages}")
        shipped = type(self).model_fields["trainable_fraction"].default
        if self.trainable_layers is not None and self.trainable_fraction != shipped:
            raise ValueError(
                "trainable_layers and trainable_fraction: expected one of them, got "
                f"{self.trainable_layers} and {self.trainable_fraction:g}"
            )
        if self.stages > 1 and self.head_alone:
            raise ValueError(
                f"stages: expected 1 where the head trains alone, got {self.stages}; set "
                "trainable_fraction or trainable_layers too"
            )
        return self

    @property
    def head_alone(self) -> bool:
        """Whether none of the backbone's layers trains."""
        counted = self.trainable_layers
        return (self.trainable_fraction if counted is None else counted) == 0


class HeadPhase(Phase):
    """The first phase, on a pretrained backbone: it trains the head alone unless told otherwise."""

    trainable_fraction: float = Field(0.0, ge=0, le=1)


class Recipe(BaseModel):
    """What a trainer needs besides data. Defaults are the house's; a trainer states the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    weights: Literal["imagenet", "none"] = "none"
    mask: bool = False  # all but the cell takes the ground's colour, inside the network
    network_px: int | None = Field(None, ge=16, le=1024)  # resized inside the network; None: not
    widths: tuple[Size, ...] = ()  # channels per stage, where the trainer builds its own stages
    depths: tuple[Annotated[int, Field(ge=0)], ...] = ()  # blocks per stage
    head_units: tuple[Size, ...] = ()  # hidden dense layers between pooling and logits
    dropout: float = Field(0.0, ge=0, lt=1)
    drop_path: float = Field(0.0, ge=0, lt=1)  # stochastic depth of the last block
    layer_scale: float | None = Field(None, gt=0)  # ConvNeXt's, its first value
    norm_momentum: float | None = Field(None, ge=0, lt=1)  # batch norm's
    l1: float = Field(0.0, ge=0)  # on the head's kernels
    l2: float = Field(0.0, ge=0)
    batch: int = Field(64, ge=2)
    optimizer: Literal["adam", "nadam", "adamw", "lion"] = "adamw"
    betas: tuple[float, ...] = ()  # of the optimiser's moving averages; (): Keras's own
    weight_decay: float = Field(0.0, ge=0)  # decoupled; norms and biases are exempt
    clip_norm: float | None = Field(1.0, gt=0)  # global norm of the gradient; None: not clipped
    focal_gamma: float = Field(0.0, ge=0)  # focal loss; 0: cross-entropy
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weight_power: float = Field(0.5, ge=0, le=1)  # of inverse frequency; 0: none
    oversample: float = Field(0.0, ge=0, le=1)  # 1: each class as often as the largest
    ema_momentum: float = Field(0.99, ge=0, lt=1)  # moving average of weights per step; 0: off
    mixed_precision: bool = True  # on a GPU; a CPU always computes in float32
    xla: bool | None = None  # compile steps with XLA; None: Keras's rule, on one GPU and with JAX
    head: HeadPhase | None = None  # phase 1, on a pretrained backbone
    whole: Phase  # phase 2
    policy: Policy = Policy()
    offline_images: int | None = Field(None, ge=2)  # made once by the policy; None: online, anew
    inner_fraction: float = Field(0.1, gt=0, lt=0.5)  # of the training rows, watched while training
    inner_rand_augment: Dose = Dose()  # a third version of the inner rows, by RandAugment
    storage: Storage = "float16"  # of the kernels in the file that ships, and is scored

    @field_validator(
        *(
            "network_px",
            "head",
            "layer_scale",
            "norm_momentum",
            "clip_norm",
            "offline_images",
            "xla",
        ),
        mode="before",
    )
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return None if value == "none" else value

    @model_validator(mode="after")
    def _as_many(self) -> "Recipe":
        if len(self.widths) != len(self.depths):
            raise ValueError(
                "widths and depths: expected one of each per stage, "
                f"got {len(self.widths)} and {len(self.depths)}"
            )
        return self

    @model_validator(mode="after")
    def _optimizer_fits(self) -> "Recipe":
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError(
                f"weight_decay: expected 0 with optimizer=adam, got {self.weight_decay:g}; "
                "Adam with decoupled weight decay is optimizer=adamw"
            )
        if self.betas and not (len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)):
            raise ValueError(f"betas: expected two numbers from 0 to below 1, got {self.betas}")
        return self


def with_preset(recipe: Recipe, presets: dict[str, dict[str, Any]], preset: str) -> Recipe:
    """The recipe with a preset's fields; "full" is the recipe itself.

    Nested models merge field by field. Raises RecipeError for a preset that the member lacks.
    """
    if preset not in presets:
        raise RecipeError(
            f"{recipe.name}: no preset {preset!r}; it has {', '.join(presets)}. "
            "`bcsub train --all` takes the members that have the asked one."
        )
    return _merged(recipe, presets[preset])


def overridden(recipe: Recipe, settings: list[str]) -> Recipe:
    """The recipe with `field=value` settings; a dot reaches inside ("policy.hue.rate=.3").

    Commas separate the numbers of a tuple; none empties a field that may be empty.
    Raises RecipeError for an unknown field, naming the nearest, for what is no setting but said
    elsewhere, or for a value of the wrong type.
    """
    together: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set: expected field=value, got {setting!r}.")
        changes: Any = value
        if isinstance(_now(recipe, path, value), tuple):
            changes = [part for part in value.split(",") if part.strip()]
        for part in reversed(path.split(".")):
            changes = {part: changes}
        together = _deep(together, changes)
    return _merged(recipe, together)


def _now(recipe: Recipe, path: str, value: str) -> Any:
    """What a field is before it is set to `value`. Raises RecipeError when `path` cannot be set."""
    if path in SAID_ELSEWHERE:
        text = SAID_ELSEWHERE[path].format(name=recipe.name, value=value)
        raise RecipeError(f"--set {path}: expected a field of the member, got {text}.")
    if (path, value) == ("head", "none"):
        return None
    first, _, inside = path.partition(".")
    if first == "head" and recipe.head is None:
        meant = f"whole.{inside}" if inside in Phase.model_fields else "whole"
        raise RecipeError(f"--set {path}: {recipe.name} has no first phase. Its phase is {meant}.")
    return value_at(recipe.model_dump(), path, value)


def _merged(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(_deep(recipe.model_dump(), changes))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        text = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":  # our own say what they got
            text += f", got {first['input']!r}"
        raise RecipeError(f"{recipe.name}: {where + ': ' if where else ''}{text}.") from None


def _deep(base: Any, changes: Any) -> Any:
    if isinstance(base, dict) and isinstance(changes, dict):
        return {**base, **{key: _deep(base.get(key), value) for key, value in changes.items()}}
    return changes
