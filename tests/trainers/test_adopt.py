"""A model saved by plain Keras becomes a member; what its owner says of it stays with it."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from cells.dataset import Dataset
from cells.errors import ExportError, RunError
from submission import model as runtime
from submission.model import read_member
from trainers.adopt import Adopted, adopt


def saved(path: Path, px: int = 16, classes: int = 3, scale: float = 1 / 255) -> Path:
    """Knows the three colours without training: the class is the brightest channel."""
    images = keras.Input((px, px, 3))
    value = keras.layers.GlobalAveragePooling2D()(images * scale)
    value = keras.layers.Dense(classes, activation="softmax", name="colour")(value)
    network = keras.Model(images, value)
    kernel = np.eye(3, classes, dtype=np.float32) * 20
    network.get_layer("colour").set_weights([kernel, np.zeros(classes, np.float32)])
    network.save(path)
    return path


def adopted(dataset: Dataset, runs: Path, file: Path, **said) -> dict:
    return adopt(Adopted(file, said.pop("name", "mine"), **said), dataset, runs, lambda line: None)


def test_it_is_scored_like_the_others_and_marked_unknown(dataset, tmp_path):
    file = saved(tmp_path / "mine.keras")
    made = adopted(dataset, tmp_path / "runs", file)
    assert (made["clean_accuracy"], made["held_out"], made["hint"]) == (1.0, "unknown", "")
    folder = tmp_path / "runs" / made["run"] / "fold-0"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("DONE", "member.h5", "predictions.h5", "recipe.json", "report.json")
    ]
    X = dataset.images(np.arange(5))
    expected = keras.saving.load_model(file).predict(X.astype(np.float32), verbose=0)
    np.testing.assert_allclose(read_member(folder / "member.h5").probs(X), expected, atol=2e-3)
    about = json.loads((folder / "recipe.json").read_text())
    assert about["held_out_said"] == "held-out unknown: nobody said which rows it learnt from"
    assert (about["preset"], about["file"]) == ("adopted", "mine.keras")


def test_what_it_was_trained_on_decides_whether_it_is_honest(dataset, tmp_path):
    file, runs = saved(tmp_path / "mine.keras"), tmp_path / "runs"
    honest = adopted(dataset, runs, file, trained_on=dataset.path, fold=1)
    assert (honest["held_out"], honest["fold"]) == ("unseen", 1)
    (tmp_path / "rows.txt").write_text("0\n3\n72\n")  # two of fold 0, one of the test part
    seen = adopted(dataset, runs, file, trained_on=tmp_path / "rows.txt")
    assert seen["said"] == "learnt from 3 of the 32 rows that it is scored on"
    assert seen["run"] != honest["run"]


def test_adopted_again_it_is_left_as_it_is(dataset, tmp_path):
    file, runs = saved(tmp_path / "mine.keras"), tmp_path / "runs"
    first = adopted(dataset, runs, file)
    stamp = (runs / first["run"] / "fold-0" / "member.h5").stat().st_mtime_ns
    assert adopted(dataset, runs, file) == first
    assert (runs / first["run"] / "fold-0" / "member.h5").stat().st_mtime_ns == stamp
    other = adopted(dataset, runs, file, storage="float32")
    assert other["run"] != first["run"]


def test_pixels_and_size_are_what_it_was_trained_with(dataset, tmp_path):
    file = saved(tmp_path / "mine.keras", px=24, scale=1)
    made = adopted(dataset, tmp_path / "runs", file, pixels="0-1", resize="nearest")
    assert made["clean_accuracy"] == 1.0
    X = dataset.images(np.arange(4)).astype(np.float32)
    large = keras.ops.image.resize(X / 255, (24, 24), interpolation="nearest")
    expected = keras.saving.load_model(file).predict(np.asarray(large), verbose=0)
    member = read_member(tmp_path / "runs" / made["run"] / "fold-0" / "member.h5")
    np.testing.assert_allclose(member.probs(X), expected, atol=2e-3)
    file = saved(tmp_path / "other.keras", scale=1)
    made = adopted(dataset, tmp_path / "runs", file, pixels="-1-1")
    member = read_member(tmp_path / "runs" / made["run"] / "fold-0" / "member.h5")
    expected = keras.saving.load_model(file).predict(X / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(member.probs(X), expected, atol=2e-3)


def test_one_that_only_guesses_is_told_what_to_look_at(dataset, tmp_path):
    images = keras.Input((16, 16, 3))
    value = keras.layers.Dense(3, kernel_initializer="zeros")(keras.layers.Flatten()(images))
    keras.Model(images, value).save(tmp_path / "blank.keras")
    made = adopted(dataset, tmp_path / "runs", tmp_path / "blank.keras")
    assert made["hint"].startswith("0.3333 is hardly better than guessing (0.3333).")


@pytest.mark.parametrize(
    ("changes", "said", "words"),
    [
        ({"classes": 4}, {}, r"expected 3 classes \(red, green, blue, in this order\), got"),
        ({"px": 24}, {}, "expected images of 16 px, got a model for 24 px. Say how"),
        ({}, {"name": "custom-cnn"}, "--name: expected a name of its own, got custom-cnn"),
        ({}, {"name": "../mine"}, "--name: expected letters, digits"),
        ({}, {"fold": 3}, "fold: expected 0 to 2, got 3"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(dataset, tmp_path, changes, said, words):
    file = saved(tmp_path / "mine.keras", **changes)
    with pytest.raises(Exception, match=words) as error:
        adopted(dataset, tmp_path / "runs", file, **said)
    assert type(error.value).__name__ in ("RunError", "DatasetError")
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_model_is_one_clear_line(dataset, tmp_path):
    (tmp_path / "mine.keras").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(RunError, match="expected a whole Keras model, got a file that Keras"):
        adopted(dataset, tmp_path / "runs", tmp_path / "mine.keras")
    with pytest.raises(RunError, match=r"no such file\. Save it with model\.save"):
        adopted(dataset, tmp_path / "runs", tmp_path / "none.keras")


def test_two_inputs_are_one_clear_line(dataset, tmp_path):
    one, two = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    value = keras.layers.Dense(3)(keras.layers.Flatten()(one + two))
    keras.Model([one, two], value).save(tmp_path / "two.keras")
    with pytest.raises(RunError, match="expected one input and one output, got 2 and 1"):
        adopted(dataset, tmp_path / "runs", tmp_path / "two.keras")


def test_a_member_that_says_something_else_than_keras_is_not_adopted(
    dataset, tmp_path, monkeypatch
):
    """As if a layer had been exported wrongly: the runtime's softmax does nothing."""
    monkeypatch.setitem(runtime.OPS, "softmax", lambda x: 0 * x)
    file = saved(tmp_path / "mine.keras")
    with pytest.raises(ExportError, match="expected Keras's probabilities from the exported"):
        adopted(dataset, tmp_path / "runs", file)
    assert not list(tmp_path.glob("runs/*/*/*"))


def test_what_the_runtime_cannot_express_names_layer_and_class(dataset, tmp_path):
    images = keras.Input((16, 16, 3))
    value = keras.layers.UnitNormalization(name="odd")(keras.layers.Flatten()(images))
    keras.Model(images, keras.layers.Dense(3)(value)).save(tmp_path / "odd.keras")
    with pytest.raises(ExportError, match=r"/odd \(UnitNormalization\)/.* is not among"):
        adopted(dataset, tmp_path / "runs", tmp_path / "odd.keras")
    assert not list(tmp_path.glob("runs/*/*/*"))
