import json
import re
from pathlib import Path

import pytest

from cells.errors import RunError
from trainers.recipe import Phase, Recipe
from trainers.runs import Run, done, read_recipe

RECIPE = Recipe(name="custom-cnn", whole=Phase(epochs=1, peak_lr=0.1))


def run(**changes) -> Run:
    fields = {"runs": Path("runs"), "name": "custom-cnn", "preset": "cpu", "recipe": RECIPE}
    fields |= {"seed": 0, "tag": "", "fold": 0, "data_fingerprint": "data-one", **changes}
    return Run(**fields)


def hex_of(made: Run) -> str:
    return re.fullmatch(r"custom-cnn-cpu-([0-9a-f]{8})(-\w+)?", made.run)[1]


def test_the_name_of_a_run():
    plain, tagged = run(), run(tag="trial")
    assert plain.recipe_fingerprint[:8] == hex_of(plain)
    assert tagged.run == f"{plain.run}-trial"
    assert run(preset="demo").run == plain.run.replace("-cpu-", "-demo-")


def test_folds_share_the_name_and_lie_beside_each_other():
    assert run(fold=3).run == run().run
    assert run(fold=3).folder == Path("runs") / run().run / "fold-3"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"data_fingerprint": "data-two"},
        {"weights_sha256": "ab" * 32},
        {"recipe": RECIPE.model_copy(update={"dropout": 0.1})},
        {"recipe": RECIPE.model_copy(update={"whole": Phase(epochs=1, peak_lr=0.2)})},
    ],
    ids=["seed", "data", "own weights", "field", "deeper field"],
)
def test_what_could_change_the_numbers_changes_the_name(change):
    assert hex_of(run(**change)) != hex_of(run())


def test_the_name_is_the_same_tomorrow():
    same = Recipe(name="custom-cnn", whole=Phase(peak_lr=0.1, epochs=1))
    assert run(recipe=same).run == run().run


def test_recipe_json_says_all_that_later_steps_must_know(tmp_path, dataset):
    made = run(runs=tmp_path, seed=4, tag="t", fold=2)
    made.write_recipe(dataset)
    about = read_recipe(made.folder)
    recipe = about.pop("recipe")
    assert about == {
        "run": made.run,
        "name": "custom-cnn",
        "preset": "cpu",
        "fold": 2,
        "tag": "t",
        "seed": 4,
        "weights_sha256": "",
        "recipe_fingerprint": made.recipe_fingerprint,
        "data_fingerprint": "data-one",
        "competition": "colours",
        "classes": ["red", "green", "blue"],
        "image_px": 16,
    }
    assert Recipe.model_validate(recipe) == RECIPE


def test_done_is_what_it_says_or_none(tmp_path):
    assert done(tmp_path) is None
    (tmp_path / "DONE").write_text(json.dumps({"epochs": 3}))
    assert done(tmp_path) is None  # its model is gone
    (tmp_path / "member.h5").touch()
    assert done(tmp_path) == {"epochs": 3}
    (tmp_path / "DONE").write_text("{")
    with pytest.raises(RunError, match=r"DONE: damaged .* Delete the folder and train it again\."):
        done(tmp_path)


@pytest.mark.parametrize("content", [None, "{"], ids=["missing", "damaged"])
def test_a_recipe_that_cannot_be_read(tmp_path, content):
    if content:
        (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(RunError) as error:
        read_recipe(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'recipe.json'}: cannot be read (")
    assert str(error.value).endswith("). Delete the folder and train it again.")
