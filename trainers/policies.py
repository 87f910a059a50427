"""Augmentation policies that several recipes share. `bcsub train` draws what they make."""

from cells.augment import Dose, Policy

# Every family in small doses, two to four at once: variety and strength of augmentation is what
# moved past editions' scores most.
STRONG = Policy(
    flip=0.5,
    rotate=Dose(rate=0.4, strength=0.5),
    translate=Dose(rate=0.3, strength=0.25),
    zoom=Dose(rate=0.35, strength=0.5),
    shear=Dose(rate=0.2, strength=0.4),
    hue=Dose(rate=0.2, strength=0.6),
    saturation=Dose(rate=0.15, strength=0.8),
    brightness=Dose(rate=0.2, strength=0.35),
    contrast=Dose(rate=0.2, strength=0.5),
    channel_shift=Dose(rate=0.2, strength=0.4),
    channel_shuffle=Dose(rate=0.1),
    grayscale=Dose(rate=0.12),
    solarize=Dose(rate=0.15, strength=0.9),
    posterize=Dose(rate=0.1, strength=0.75),
    blur=Dose(rate=0.2, strength=0.5),
    noise=Dose(rate=0.15, strength=0.25),
    rand_augment=Dose(rate=0.3, strength=0.5),
    grid_mask=Dose(rate=0.2, strength=0.5),
    cutout=Dose(rate=0.25, strength=0.5),
    mixup=Dose(rate=0.1, strength=0.3),
    cutmix=Dose(rate=0.1, strength=1.0),
)

# For a training so short that it learns from every image a dozen times and overfits none: whole
# images only, as the platform's are.
UNMIXED = STRONG.model_copy(
    update={
        name: getattr(STRONG, name).model_copy(update={"rate": 0.0}) for name in ("mixup", "cutmix")
    }
)
