import pytest

from cells.policy import Dose, Policy
from trainers.policies import BRIEF, STRONG, rarer


def test_rates_are_multiplied_and_strengths_stay():
    policy = Policy(flip=0.5, hue=Dose(rate=0.4, strength=0.3), blur=Dose(rate=0.5, strength=0.9))
    assert rarer(policy, hue=0.5) == policy.model_copy(update={"hue": Dose(rate=0.2, strength=0.3)})
    fewer = rarer(policy, hue=0, rest=0.5)
    assert (fewer.hue, fewer.blur) == (Dose(rate=0, strength=0.3), Dose(rate=0.25, strength=0.9))
    assert fewer.flip == 0.5
    with pytest.raises(TypeError, match="no augmentation of the name heu"):
        rarer(policy, heu=0.5)


def test_whole_images_only():
    assert STRONG.mixup.rate > 0
    assert STRONG.cutmix.rate > 0
    assert BRIEF.mixup.rate == BRIEF.cutmix.rate == 0
    assert BRIEF.hue == Dose(rate=0.7 * STRONG.hue.rate, strength=STRONG.hue.strength)
