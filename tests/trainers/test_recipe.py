import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from cells.errors import RecipeError
from cells.policy import Dose, Policy
from trainers.recipe import HeadPhase, Phase, Recipe, overridden, with_preset

BASE = Recipe(
    name="toy",
    widths=(8, 16),
    depths=(1, 2),
    dropout=0.5,
    whole=Phase(epochs=10, peak_lr=1e-3, patience=4),
    policy=Policy(flip=0.5, hue=Dose(rate=0.2, strength=0.6)),
)
PRESETS = {
    "full": {},
    "cpu": {
        "widths": (4, 4),
        "whole": {"epochs": 3},
        "policy": {"hue": {"rate": 0.1}, "cutout": {"rate": 1.0}},
    },
}

# ---- presets -------------------------------------------------------------------------------------


def test_full_is_the_recipe_itself():
    assert with_preset(BASE, PRESETS, "full") == BASE


def test_a_preset_changes_its_fields_and_no_other_at_any_depth():
    cpu = with_preset(BASE, PRESETS, "cpu")
    assert cpu == BASE.model_copy(
        update={
            "widths": (4, 4),
            "whole": Phase(epochs=3, peak_lr=1e-3, patience=4),
            "policy": Policy(
                flip=0.5,
                hue=Dose(rate=0.1, strength=0.6),
                cutout=Dose(rate=1.0, strength=0.5),
            ),
        }
    )


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(RecipeError) as error:
        with_preset(BASE, PRESETS, "gpu")
    assert str(error.value) == (
        "toy: no preset 'gpu'; it has full, cpu. "
        "`bcsub train --all` takes the members that have the asked one."
    )


def test_a_preset_with_a_field_that_does_not_exist_is_refused():
    with pytest.raises(RecipeError, match=r"^toy: whole.epoch: Extra inputs are not permitted"):
        with_preset(BASE, {"cpu": {"whole": {"epoch": 3}}}, "cpu")


# ---- --set ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("dropout=.25", "dropout", 0.25),
        ("batch=32", "batch", 32),
        ("mixed_precision=off", "mixed_precision", False),
        ("class_weight_power=1", "class_weight_power", 1.0),
        ("oversample=.5", "oversample", 0.5),
        ("offline_images=42000", "offline_images", 42000),
        ("inner_rand_augment.rate=.7", "inner_rand_augment.rate", 0.7),
        ("inner_rand_augment.strength=.3", "inner_rand_augment.strength", 0.3),
        ("policy.flip=.25", "policy.flip", 0.25),
        ("policy.augmix.rate=.3", "policy.augmix.rate", 0.3),
        ("policy.augmix.strength=.4", "policy.augmix.strength", 0.4),
        ("policy.split_rotate.rate=.2", "policy.split_rotate.rate", 0.2),
        ("policy.rand_augment_ops=4", "policy.rand_augment_ops", 4),
        ("mask=true", "mask", True),
        ("weights=imagenet", "weights", "imagenet"),
        ("weights=none", "weights", "none"),
        ("whole.schedule=plateau", "whole.schedule", "plateau"),
        ("whole.schedule=exponential", "whole.schedule", "exponential"),
        ("whole.trainable_layers=12", "whole.trainable_layers", 12),
        ("whole.stages=3", "whole.stages", 3),
        ("optimizer=lion", "optimizer", "lion"),
        ("betas=.9,.99", "betas", (0.9, 0.99)),
        ("focal_gamma=2", "focal_gamma", 2.0),
        ("clip_norm=none", "clip_norm", None),
        ("policy.hue.rate=.3", "policy.hue.rate", 0.3),
        ("widths=3,5", "widths", (3, 5)),
        ("head_units=128", "head_units", (128,)),
        ("head_units=", "head_units", ()),
        ("network_px=160", "network_px", 160),
    ],
)
def test_a_setting_changes_one_field_to_a_value_of_its_type(setting, path, value):
    def without(recipe: Recipe) -> dict:
        fields = recipe.model_dump()
        here = fields
        *parents, last = path.split(".")
        for part in parents:
            here = here[part]
        found.append(here.pop(last))
        return fields

    found: list = []
    assert without(overridden(BASE, [setting])) == without(BASE)
    assert found[0] == value
    assert type(found[0]) is type(value)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["whole.final_lr=.1"], "whole: final_lr: expected at most peak_lr, 0.001, got 0.1."),
        (["whole.stages=11"], "whole: stages: expected at most 10 epochs, got 11."),
        (
            ["whole.trainable_layers=3", "whole.trainable_fraction=.5"],
            "whole: trainable_layers and trainable_fraction: expected one of them, got 3 and 0.5.",
        ),
        (
            ["optimizer=adam", "weight_decay=.1"],
            "weight_decay: expected 0 with optimizer=adam, got 0.1; "
            "Adam with decoupled weight decay is optimizer=adamw.",
        ),
        (
            ["whole.trainable_fraction=0", "whole.stages=2"],
            "whole: stages: expected 1 where the head trains alone, got 2; "
            "set trainable_fraction or trainable_layers too.",
        ),
        (["betas=.9"], "betas: expected two numbers from 0 to below 1, got (0.9,)."),
        (["betas=.9,1"], "betas: expected two numbers from 0 to below 1, got (0.9, 1.0)."),
    ],
)
def test_fields_that_contradict_each_other_are_one_line(settings, text):
    with pytest.raises(RecipeError) as error:
        overridden(BASE, settings)
    assert str(error.value) == f"toy: {text}"


WITH_HEAD = BASE.model_copy(update={"head": HeadPhase(epochs=4, peak_lr=0.1)})


def test_the_first_phase_trains_the_head_alone_unless_told_otherwise():
    assert WITH_HEAD.head.head_alone
    assert not WITH_HEAD.whole.head_alone
    for settings in (["head.trainable_fraction=.5"], ["head.trainable_layers=4", "head.stages=2"]):
        assert not overridden(WITH_HEAD, settings).head.head_alone
    assert overridden(WITH_HEAD, ["head.trainable_layers=0"]).head.head_alone
    assert overridden(WITH_HEAD, ["whole.trainable_layers=0"]).whole.head_alone


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            ["head.stages=2"],
            "head: stages: expected 1 where the head trains alone, got 2; "
            "set trainable_fraction or trainable_layers too.",
        ),
        (
            ["head.trainable_layers=3", "head.trainable_fraction=.5"],
            "head: trainable_layers and trainable_fraction: expected one of them, got 3 and 0.5.",
        ),
    ],
)
def test_what_the_first_phase_would_not_heed_is_one_line(settings, text):
    with pytest.raises(RecipeError) as error:
        overridden(WITH_HEAD, settings)
    assert str(error.value) == f"toy: {text}"


def test_none_empties_what_may_be_empty():
    full = BASE.model_copy(update={"network_px": 96, "head": HeadPhase(epochs=1, peak_lr=1)})
    full = full.model_copy(update={"offline_images": 9})
    emptied = overridden(full, ["network_px=none", "head=none", "offline_images=none"])
    assert (emptied.network_px, emptied.head, emptied.offline_images) == (None, None, None)


def test_settings_apply_together_and_the_last_of_two_wins():
    recipe = overridden(BASE, ["widths=1,2,3", "depths=1,1,1", "batch=8", "batch=9"])
    assert (recipe.widths, recipe.depths, recipe.batch) == ((1, 2, 3), (1, 1, 1), 9)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("dropout", "--set: expected field=value, got 'dropout'."),
        ("dropuot=.1", "--set dropuot: no field 'dropuot'. Did you mean 'dropout'?"),
        ("whole.epoch=3", "--set whole.epoch: no field 'epoch'. Did you mean 'whole.epochs'?"),
        (
            "policy.hew.rate=1",
            "--set policy.hew.rate: no field 'hew'. Did you mean 'policy.hue.rate'?",
        ),
        (
            "policy.hue.xyz=1",
            "--set policy.hue.xyz: no field 'xyz'. There are rate, strength.",
        ),
        (
            "policy.hue=.3",
            "--set policy.hue: expected one of the fields that it holds, got '.3'. "
            "Did you mean policy.hue.rate=.3?",
        ),
        (
            "whole=none",
            "--set whole: expected one of the fields that it holds, got 'none'. There are epochs, "
            "peak_lr, final_lr, schedule, decay, plateau_factor, plateau_patience, warmup_epochs, "
            "patience, trainable_fraction, trainable_layers, stages.",
        ),
        ("head=3", "--set head: toy has no first phase. Its phase is whole."),
        ("head.epochs=3", "--set head.epochs: toy has no first phase. Its phase is whole.epochs."),
        ("head.size=3", "--set head.size: toy has no first phase. Its phase is whole."),
        (
            "name=convnext-atto",
            "--set name: expected a field of the member, got its name. Another member is another "
            "command: bcsub train convnext-atto.",
        ),
        (
            "seed=3",
            "--set seed: expected a field of the member, got the run's seed. It is an option: "
            "bcsub train toy --seed 3.",
        ),
        (
            "shares=60/36/4",
            "--set shares: expected a field of the member, got the split, which all members share: "
            "bcsub prepare ARCHIVE --shares 60/36/4.",
        ),
        ("batch.size=3", "--set batch.size: no field 'size'. Nothing lies below a value."),
        (
            "dropout=1.5",
            "toy: dropout: Input should be less than 1, got '1.5'.",
        ),
        (
            "batch=many",
            "toy: batch: Input should be a valid integer, unable to parse string as an integer, "
            "got 'many'.",
        ),
        ("weights=jft", "toy: weights: Input should be 'imagenet' or 'none', got 'jft'."),
        (
            "oversample=2",
            "toy: oversample: Input should be less than or equal to 1, got '2'.",
        ),
        (
            "class_weight_power=2",
            "toy: class_weight_power: Input should be less than or equal to 1, got '2'.",
        ),
        (
            "class_weights=on",
            "--set class_weights: no field 'class_weights'. Did you mean 'class_weight_power'?",
        ),
        (
            "offline_images=1",
            "toy: offline_images: Input should be greater than or equal to 2, got '1'.",
        ),
        (
            "policy.hue.rate=2",
            "toy: policy.hue.rate: Input should be less than or equal to 1, got '2'.",
        ),
        ("widths=8", "toy: widths and depths: expected one of each per stage, got 1 and 2."),
        (
            "head_units=64,0",
            "toy: head_units.1: Input should be greater than or equal to 1, got '0'.",
        ),
        ("widths=8,0", "toy: widths.1: Input should be greater than or equal to 1, got '0'."),
        ("depths=-1,1", "toy: depths.0: Input should be greater than or equal to 0, got '-1'."),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(setting, text):
    with pytest.raises(RecipeError) as error:
        overridden(BASE, [setting])
    assert str(error.value) == text


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize(
    "path", ["l1", "l2", "focal_gamma", "clip_norm", "whole.peak_lr", "policy.flip", "betas.0"]
)
def test_a_number_is_finite(path, value):
    setting = path.replace(".0", "") + f"={value}"
    with pytest.raises(RecipeError) as error:
        overridden(BASE, [setting])
    assert str(error.value) == f"toy: {path}: Input should be a finite number, got {value!r}."


def test_a_finite_dose_too():
    with pytest.raises(RecipeError, match=r"policy.hue.rate: Input should be a finite number"):
        overridden(BASE, ["policy.hue.rate=nan"])


def test_a_recipe_does_not_change_under_the_hand():
    overridden(BASE, ["batch=2"])
    with_preset(BASE, PRESETS, "cpu")
    assert BASE.batch == 64
    assert BASE.whole.epochs == 10
    with pytest.raises(ValueError, match="frozen"):
        BASE.batch = 3


# ---- every field is read -------------------------------------------------------------------------

# A field counts as read where it is taken from something that goes by one of these names, such as
# `self.recipe.dropout` or `policy.hue.rate`.
READ_FROM: dict[type[BaseModel], set[str]] = {
    Recipe: {"recipe"},
    Phase: {"phase", "head", "whole"},
    Policy: {"policy"},
    Dose: {"dose", *Policy.model_fields},
}


def read_fields(sources: list[str], fields: set[str], owners: set[str]) -> set[str]:
    """Those of `fields` that any of the sources reads from something called one of `owners`."""
    found = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = getattr(node.value, "attr", getattr(node.value, "id", ""))
                if owner in owners:
                    found.add(node.attr)
    return found & fields


def sources(repository: Path) -> Iterator[str]:
    for pattern in ("trainers/*.py", "cells/augment*.py"):
        yield from (path.read_text() for path in repository.glob(pattern))


@pytest.mark.parametrize("model", READ_FROM, ids=lambda model: model.__name__)
def test_every_field_is_read_somewhere(model, repository):
    fields = set(model.model_fields)
    unread = fields - read_fields(list(sources(repository)), fields, READ_FROM[model])
    assert not unread, f"{model.__name__}: nothing reads {sorted(unread)}"


def test_a_field_that_is_only_defined_given_or_written_counts_as_unread():
    source = """
class Recipe(BaseModel):
    defined: int = 0

def f(recipe, other):
    recipe.written = other.elsewhere
    g(recipe.read, self.recipe.deep, given=1, text="recipe.told")
"""
    fields = {"read", "deep", "defined", "written", "elsewhere", "given", "told"}
    assert read_fields([source], fields, {"recipe"}) == {"read", "deep"}
