import json

import pytest

from trainers import convnext_base, custom_cnn
from trainers.differences import Differences, as_setting, differences, flat, from_shipped
from trainers.recipe import HeadPhase, Phase, Recipe, overridden, with_preset

TOY = Recipe(name="toy", widths=(4, 6), depths=(0, 1), whole=Phase(epochs=3, peak_lr=0.1))


def stored(recipe: Recipe) -> dict:
    """As it comes back from recipe.json: tuples are lists there."""
    return json.loads(json.dumps(recipe.model_dump()))


def test_the_shipped_recipe_differs_in_nothing():
    assert differences(stored(TOY), TOY) == Differences()
    assert str(differences(stored(TOY), TOY)) == ""


def test_only_the_fields_that_differ_by_their_dotted_names():
    settings = ["widths=4,8", "whole.epochs=40", "policy.hue.rate=.3", "network_px=32"]
    found = differences(stored(overridden(TOY, settings)), TOY)
    assert found.changed == {
        "network_px": 32,
        "widths": [4, 8],
        "whole.epochs": 40,
        "policy.hue.rate": 0.3,
    }
    assert str(found) == "network_px=32, widths=4,8, whole.epochs=40, policy.hue.rate=0.3"


def test_the_settings_of_a_difference_make_the_recipe_again():
    other = overridden(TOY, ["depths=2,2", "class_weight_power=0", "whole.peak_lr=3e-4"])
    assert overridden(TOY, differences(stored(other), TOY).settings) == other


def test_a_phase_that_only_one_of_both_has():
    with_head = TOY.model_copy(update={"head": HeadPhase(epochs=2, peak_lr=0.5)})
    assert differences(stored(TOY), with_head).changed == {"head": None}
    found = differences(stored(with_head), TOY)
    assert (found.changed["head.epochs"], found.changed["head.peak_lr"]) == (2, 0.5)
    assert found.gone == ()
    assert str(differences(stored(TOY), with_head)) == "head=none"


def test_fields_of_an_older_and_of_a_newer_version_are_named_and_nothing_breaks():
    old = stored(TOY)
    del old["dropout"], old["policy"]["hue"]
    old["temperature"], old["policy"]["swirl"] = 2, {"rate": 0.1}
    found = differences(old, TOY)
    assert found.changed == {}
    assert found.gone == ("policy.swirl.rate", "temperature")
    assert found.new == ("dropout", "policy.hue.rate", "policy.hue.strength")
    assert str(found) == (
        "policy.swirl.rate (no longer a field), temperature (no longer a field), "
        "older than dropout, policy.hue.rate, policy.hue.strength"
    )


def test_from_shipped_takes_the_preset_into_account():
    cpu = with_preset(custom_cnn.RECIPE, custom_cnn.PRESETS, "cpu")
    assert from_shipped("custom-cnn", "cpu", stored(cpu)) == Differences()
    assert "whole.epochs" in from_shipped("custom-cnn", "full", stored(cpu)).changed
    full = from_shipped("convnext-base", "full", stored(convnext_base.RECIPE))
    assert full == Differences()


@pytest.mark.parametrize(("name", "preset"), [("resnet-1", "cpu"), ("custom-cnn", "weekend")])
def test_a_member_or_preset_that_is_no_longer_there(name, preset):
    found = from_shipped(name, preset, stored(TOY))
    assert not found.shipped
    assert str(found) == "the member or its preset is no longer there"


def test_flat():
    assert flat({"a": 1, "b": {"c": 2, "d": {"e": None}}}) == {"a": 1, "b.c": 2, "b.d.e": None}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "true"), ([4, 6], "4,6"), ([], ""), (0.3, "0.3"), ("cosine", "cosine")],
)
def test_values_as_set_takes_them(value, text):
    assert as_setting(value) == text
