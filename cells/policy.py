"""How a recipe's images are changed at random: numbers only, `cells.augment` makes them act."""

from pydantic import BaseModel, ConfigDict, Field


class Dose(BaseModel):
    """How often an augmentation acts, and how strongly.

    rate: share of the images, 0-1. strength: 0-1, what it means stands at each field of `Policy`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rate: float = Field(0.0, ge=0, le=1)
    strength: float = Field(0.5, ge=0, le=1)


class Policy(BaseModel):
    """The augmentation of one recipe. A rate of 0 leaves a layer out.

    Geometry fills with black, as the platform's images are (RandAugment's and AugMix's reflects).
    None of these is one of the two families of `cells.corruptions` that no policy may contain
    (elastic, jpeg).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    flip: float = Field(1.0, ge=0, le=1)  # share of images that may be flipped, both ways
    split_rotate: Dose = Dose()  # each quadrant by a multiple of 90 degrees; no strength
    rotate: Dose = Dose()  # strength 1: up to a full turn either way
    translate: Dose = Dose()  # strength: share of the side
    zoom: Dose = Dose()  # strength: how far out; in by half of that
    shear: Dose = Dose()  # strength: KerasCV's shear factor
    hue: Dose = Dose()  # strength 1: anywhere on the wheel
    saturation: Dose = Dose()  # strength 1: grey to fully saturated
    brightness: Dose = Dose()  # strength: share of 255
    contrast: Dose = Dose()  # strength: KerasCV's contrast factor
    channel_shift: Dose = Dose()  # strength: share of 127
    channel_shuffle: Dose = Dose()  # strength is not used: a permutation of three channels
    grayscale: Dose = Dose()  # strength is not used
    solarize: Dose = Dose()  # strength: how far below 255 the threshold may lie
    posterize: Dose = Dose()  # strength 1: down to 1 bit, 0: 8 bits
    blur: Dose = Dose()  # strength: sigma over 4 px
    noise: Dose = Dose()  # strength: largest standard deviation, share of 255
    rand_augment: Dose = Dose()  # strength: KerasCV's magnitude
    rand_augment_ops: int = Field(2, ge=1, le=8)
    rand_augment_stddev: float = Field(0.2, ge=0, le=1)  # of the magnitude
    augmix: Dose = Dose()  # strength: largest severity
    grid_mask: Dose = Dose()  # strength: largest side of a hole, share of the grid's step
    cutout: Dose = Dose()  # strength: largest side of the hole, share of the image's
    mixup: Dose = Dose()  # strength: alpha of the Beta distribution
    cutmix: Dose = Dose()  # strength: alpha of the Beta distribution
