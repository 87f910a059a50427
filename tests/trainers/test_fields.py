"""Which field a wrong name may have meant."""

import pytest

from cells.errors import RecipeError
from trainers.fields import nearest, value_at

DOSE = {"rate": 0.0, "strength": 0.5}
PHASE = {"epochs": 3, "peak_lr": 0.1, "final_lr": 0.0, "patience": 2}
RECIPE = {
    "name": "toy",
    "depths": (1, 2),
    "dropout": 0.5,
    "class_weight_power": 0.5,
    "head": PHASE,
    "whole": PHASE,
    "policy": {"flip": 0.5, "hue": DOSE, "rand_augment": DOSE, "cutmix": DOSE, "rotate": DOSE},
    "inner_rand_augment": DOSE,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # deeper than where it was looked for
        ("patience", ["head.patience", "whole.patience"]),
        ("epochs", ["head.epochs", "whole.epochs"]),  # and not depths
        ("cutmix.rate", ["policy.cutmix.rate"]),
        ("rand_augment.rate", ["policy.rand_augment.rate"]),  # and not inner_rand_augment
        ("cutmix", ["policy.cutmix.rate", "policy.cutmix.strength"]),
        # a word of its name
        ("lr", ["head.peak_lr", "head.final_lr", "whole.peak_lr", "whole.final_lr"]),
        ("weight", ["class_weight_power"]),
        ("whole.learning_rate", ["whole.peak_lr", "whole.final_lr"]),  # as others call it
        # a slip of the hand, at any level
        ("dropuot", ["dropout"]),
        ("patiance", ["head.patience", "whole.patience"]),
        ("policy.hew.rate", ["policy.hue.rate"]),
        ("polcy.hue.rate", ["policy.hue.rate"]),
        ("wole.epochs", ["whole.epochs"]),
        # nothing like it
        ("xyz", []),
        ("policy.hue.xyz", []),
        ("nam", []),  # the member's name is no field to set
        ("a.b.c.d", []),
    ],
)
def test_the_nearest_is_looked_for_at_every_level(path, expected):
    assert nearest(RECIPE, path) == expected


def test_the_value_of_a_field():
    assert value_at(RECIPE, "policy.hue.strength", ".3") == 0.5
    assert value_at(RECIPE, "depths", "1") == (1, 2)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("dropuot", "no field 'dropuot'. Did you mean 'dropout'?"),
        ("patience", "no field 'patience'. Did you mean 'head.patience' or 'whole.patience'?"),
        (
            "rate",
            "no field 'rate'. Did you mean 'policy.hue.rate', 'policy.rand_augment.rate', "
            "'policy.cutmix.rate', 'policy.rotate.rate' or one of 1 more?",
        ),
        ("policy.hue.xyz", "no field 'xyz'. There are rate, strength."),
        ("dropout.xyz", "no field 'xyz'. Nothing lies below a value."),
        (
            "xyz",
            "no field 'xyz'. There are depths, dropout, class_weight_power, head, whole, policy, "
            "inner_rand_augment.",
        ),
        (
            "policy.hue",
            "expected one of the fields that it holds, got '.3'. Did you mean policy.hue.rate=.3?",
        ),
        (
            "policy",
            "expected one of the fields that it holds, got '.3'. There are flip, hue, "
            "rand_augment, cutmix, rotate.",
        ),
    ],
)
def test_a_field_that_cannot_be_set_is_one_line(path, text):
    with pytest.raises(RecipeError) as error:
        value_at(RECIPE, path, ".3")
    assert str(error.value) == f"--set {path}: {text}"
