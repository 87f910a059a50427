"""Augmentation policies that several recipes share. `bcsub train` draws what they make."""

from cells.policy import Dose, Policy

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


def rarer(policy: Policy, **factors: float) -> Policy:
    """The policy with the rate of each named augmentation multiplied; `rest` is all the others'."""
    rest = factors.pop("rest", 1.0)
    doses = {name: dose for name, dose in policy if isinstance(dose, Dose)}
    rates = {name: dose.rate * factors.pop(name, rest) for name, dose in doses.items()}
    if factors:
        raise TypeError(f"no augmentation of the name {', '.join(factors)}")
    return policy.model_copy(
        update={name: dose.model_copy(update={"rate": rates[name]}) for name, dose in doses.items()}
    )


# For a training so short that it learns from every image two or three dozen times and overfits
# none: fewer changes an image, and whole images only, as the platform's are.
BRIEF = rarer(STRONG, mixup=0, cutmix=0, rest=0.7)
