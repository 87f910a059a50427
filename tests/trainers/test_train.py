import csv
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest

from cells.errors import DatasetError
from cells.policy import Dose, Policy
from submission.model import FORMAT
from tests.trainers.conftest import tiny_cnn, write_colours
from trainers import train
from trainers.recipe import Phase, Recipe
from trainers.report import per_class
from trainers.runs import Run
from trainers.train import build_network, train_run, training_data

# ---- a run, interrupted once, and what it leaves -------------------------------------------------


def test_an_interrupted_run_goes_on_from_its_last_epoch(finished):
    first, second = finished.tolds
    assert finished.between == {"recipe.json", "batches.png", "checkpoint.h5", "history.csv"}
    assert [row["epoch"] for row in first.rows] == [1]
    assert [row["epoch"] for row in second.rows] == [2]
    run = finished.run
    assert first.lines == [f"{run.run} fold 1: 39 training images"]
    assert not any("training images" in line for line in second.lines)


def test_a_finished_folder_holds_what_is_promised_and_no_checkpoint(finished):
    assert set(os.listdir(finished.run.folder)) == {
        "recipe.json",
        "history.csv",
        "curves.png",
        "batches.png",
        "member.h5",
        "predictions.h5",
        "report.json",
        "DONE",
    }
    for name in ("curves.png", "batches.png"):
        assert cv2.imread(str(finished.run.folder / name)).std() > 1


def test_done_says_what_the_command_prints(finished):
    folder, summary = finished.run.folder, finished.done
    assert json.loads((folder / "DONE").read_text()) == summary
    assert list(summary) == [
        "run",
        "name",
        "fold",
        "clean_accuracy",
        "shifted_accuracy",
        "epochs",
        "seconds",
        "images_per_s",
    ]
    report = json.loads((folder / "report.json").read_text())
    assert (summary["run"], summary["fold"]) == (finished.run.run, 1)
    assert summary["clean_accuracy"] == report["clean"]["accuracy"]
    assert summary["shifted_accuracy"] == report["shifted"]["accuracy"]
    assert summary["epochs"] == 2
    rows = [row for told in finished.tolds for row in told.rows]
    assert summary["seconds"] > rows[-1]["elapsed_s"]  # export and predictions come after it
    # 2 batches of 16 an epoch
    seconds = sum(row["seconds"] for row in rows)
    assert summary["images_per_s"] == pytest.approx(64 / seconds, rel=0.2)


def test_history_has_a_row_for_each_epoch_of_both_sittings(finished):
    with (finished.run.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = [row for each in finished.tolds for row in each.rows]
    assert rows == [{key: str(value) for key, value in row.items()} for row in told]
    assert set(rows[0]) >= {"learning_rate", "loss", "inner_clean_loss", "inner_shifted_accuracy"}


def test_report_json_is_about_the_held_out_fold_unturned(finished, dataset):
    with h5py.File(finished.run.folder / "predictions.h5") as file:
        rows = file["rows"][()]
        probs = {part: file[part][:, 0] for part in ("clean", "shifted")}
    expected = {
        part: per_class(dataset.labels[rows], probs[part], dataset.classes) for part in probs
    }
    assert json.loads((finished.run.folder / "report.json").read_text()) == expected


def test_the_member_knows_where_it_comes_from(finished):
    with h5py.File(finished.run.folder / "member.h5") as file:
        attrs = dict(file.attrs)
    assert len(attrs.pop("member_fingerprint")) == 16
    assert attrs == {
        "kind": "member",
        "format": FORMAT,
        "name": "custom-cnn",
        "run": finished.run.run,
        "fold": 1,
        "classes": '["red", "green", "blue"]',
        "image_px": 16,
        "data_fingerprint": "data-one",
        "recipe_fingerprint": finished.run.recipe_fingerprint,
    }


def test_a_finished_run_is_not_trained_again(finished, dataset, told):
    folder = finished.run.folder
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    progress, started = told(), time.perf_counter()
    assert train_run(finished.run, dataset, progress) == finished.done
    assert time.perf_counter() - started < 0.5
    assert progress.lines == [f"{finished.run.run} fold 1: finished before"]
    assert progress.steps == []
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_done_is_written_last(finished, dataset, told, tmp_path, monkeypatch):
    run = replace(finished.run, runs=tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / "checkpoint.h5").touch()

    def predict_run(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "build_network", lambda *args: None)
    monkeypatch.setattr(train, "fit", lambda *args: finished.tolds[0].rows)
    monkeypatch.setattr(train, "write_member", lambda *args: "")
    monkeypatch.setattr(train, "predict_run", predict_run)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, dataset, told())
    assert (run.folder / "checkpoint.h5").is_file()
    assert not (run.folder / "DONE").exists()


def test_the_checkpoint_goes_after_done_is_there(finished, dataset, told, tmp_path, monkeypatch):
    """Interrupted between the two, the run is finished, and the next call tidies up."""
    run = replace(finished.run, runs=tmp_path)
    shutil.copytree(finished.run.folder, run.folder)
    (run.folder / "DONE").unlink()
    (run.folder / "checkpoint.h5").touch()
    unlink = Path.unlink

    def interrupted(path, **options):
        if path.name == "checkpoint.h5":
            raise KeyboardInterrupt
        unlink(path, **options)

    monkeypatch.setattr(train, "build_network", lambda *args: None)
    monkeypatch.setattr(train, "fit", lambda *args: finished.tolds[0].rows)
    monkeypatch.setattr(train, "write_member", lambda *args: "")
    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, dataset, told())
    monkeypatch.setattr(Path, "unlink", unlink)
    assert (run.folder / "DONE").is_file()
    assert (run.folder / "checkpoint.h5").is_file()
    assert train_run(run, dataset, told())["run"] == run.run
    assert not (run.folder / "checkpoint.h5").exists()


@pytest.mark.parametrize("content", [None, "{"], ids=["lost", "damaged"])
def test_such_a_report_is_made_again_without_training(finished, dataset, told, tmp_path, content):
    run = replace(finished.run, runs=tmp_path)
    shutil.copytree(finished.run.folder, run.folder)
    (run.folder / "report.json").unlink()
    if content:
        (run.folder / "report.json").write_text(content)
    progress = told()
    train_run(run, dataset, progress)
    assert progress.steps == []
    expected = json.loads((finished.run.folder / "report.json").read_text())
    assert json.loads((run.folder / "report.json").read_text()) == expected


def test_a_run_that_lost_its_model_is_not_finished_while_it_trains_again(
    finished, dataset, told, tmp_path, monkeypatch
):
    run = replace(finished.run, runs=tmp_path)
    shutil.copytree(finished.run.folder, run.folder)
    (run.folder / "member.h5").unlink()
    monkeypatch.setattr(train, "build_network", lambda *args: None)
    monkeypatch.setattr(train, "_draw_batches", lambda *args: None)
    monkeypatch.setattr(train, "fit", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, dataset, told())
    assert not (run.folder / "DONE").exists()


def _interrupted(*args):
    raise KeyboardInterrupt


def test_the_runs_seed_draws_the_first_weights(dataset, told, tmp_path, monkeypatch):
    drawn: list[list[np.ndarray]] = []

    def fit(network, *args):
        drawn.append(network.get_weights())
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_draw_batches", lambda *args: None)
    monkeypatch.setattr(train, "fit", fit)
    for index, seed in enumerate((7, 8, 7)):
        run = Run(tmp_path / str(index), "custom-cnn", "demo", tiny_cnn(), seed, "", 0, "data-one")
        with pytest.raises(KeyboardInterrupt):
            train_run(run, dataset, told())
    first, other, again = drawn
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


# ---- which rows are learnt from ------------------------------------------------------------------


def test_inner_rows_are_taken_from_the_training_rows_and_nothing_is_held_out_twice(dataset):
    recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1), inner_fraction=0.2)
    data = training_data(dataset, 1, recipe, seed=7)
    row_of = {image.tobytes(): row for row, image in enumerate(dataset.images(np.arange(80)))}
    learn = [row_of[image.tobytes()] for image in data.images]
    inner = [row_of[image.tobytes()] for image in data.inner_clean]
    assert sorted([*learn, *inner]) == dataset.train_rows(1).tolist()
    np.testing.assert_array_equal(data.labels, dataset.labels[learn])
    np.testing.assert_array_equal(data.inner_labels, dataset.labels[inner])
    np.testing.assert_array_equal(data.inner_shifted, dataset.shifted(np.array(inner)))
    assert np.bincount(data.inner_labels).tolist() == [3, 3, 3]  # a fifth of sixteen of each
    assert data.classes == 3

    again = training_data(dataset, 1, recipe, seed=7)
    np.testing.assert_array_equal(again.inner_clean, data.inner_clean)
    other = training_data(dataset, 1, recipe, seed=8)
    assert other.inner_clean.tobytes() != data.inner_clean.tobytes()


def test_augmented_once_only_the_training_rows_are(tmp_path):
    """Held-out, inner and test rows stay out of the file, and the inner ones as they are."""
    data = write_colours(tmp_path)
    recipe = Recipe(
        name="toy", whole=Phase(epochs=1, peak_lr=1), inner_fraction=0.2, policy=Policy(flip=0)
    )
    online = training_data(data, 1, recipe, seed=7)
    lines: list[str] = []
    offline = recipe.model_copy(update={"offline_images": 90})
    made = training_data(data, 1, offline, 7, lines.append)
    assert made.images.shape == (90, 16, 16, 3)
    number_of = {image.tobytes(): number for number, image in enumerate(online.images)}
    numbers = [number_of[image.tobytes()] for image in made.images]  # of training rows alone
    assert set(numbers) == set(range(len(online.images)))
    np.testing.assert_array_equal(made.labels, np.eye(3)[online.labels[numbers]])
    for part in ("inner_clean", "inner_shifted", "inner_labels"):
        np.testing.assert_array_equal(getattr(made, part), getattr(online, part))
    assert lines[-1] == "augmenting once: 90 of 90 images"  # a slow machine tells of parts before
    assert [path.parent for path in tmp_path.rglob("*.h5")].count(tmp_path / "work/augmented") == 1


def test_a_run_trains_from_the_images_made_once(tmp_path, told, monkeypatch):
    """An epoch is as long as the file, and the next run with the same rows makes none."""
    data, progress = write_colours(tmp_path), told()
    recipe = tiny_cnn(offline_images=70, whole=Phase(epochs=1, peak_lr=0.01))
    run = Run(tmp_path / "runs", "custom-cnn", "demo", recipe, 7, "", 1, data.fingerprint)
    monkeypatch.setattr(train, "_finish", lambda *args: {})
    train_run(run, data, progress)
    assert [where[3:] for where in progress.steps] == [(step, 4) for step in (1, 2, 3, 4)]
    # a slow machine tells of parts before
    whole = progress.lines.index("augmenting once: 70 of 70 images")
    assert progress.lines[whole : whole + 2] == [
        "augmenting once: 70 of 70 images",
        f"{run.run} fold 1: 70 training images",
    ]


def test_a_run_that_masks_leaves_a_sheet_of_masks(dataset, told, tmp_path, monkeypatch):
    recipe = tiny_cnn(mask=True, whole=Phase(epochs=1, peak_lr=0.01))
    run, progress = Run(tmp_path, "custom-cnn", "demo", recipe, 7, "", 1, "data-one"), told()
    monkeypatch.setattr(train, "_finish", lambda *args: {})
    train_run(run, dataset, progress)
    assert len(progress.rows) == 1
    names = {"recipe.json", "batches.png", "masks.png", "checkpoint.h5", "history.csv"}
    assert set(os.listdir(run.folder)) == names
    assert cv2.imread(str(run.folder / "masks.png")).std() > 1


def test_an_oversampled_epoch_is_longer(dataset, told, tmp_path, monkeypatch):
    """Each class as often as the largest."""
    part = dataset.part.copy()
    rows = dataset.train_rows(1)
    for label, keep in ((0, 16), (1, 7), (2, 4)):
        part[rows[dataset.labels[rows] == label][keep:]] = 1
    few = replace(dataset, part=part)
    recipe = tiny_cnn(oversample=1, whole=Phase(epochs=1, peak_lr=0.01))
    counts = np.bincount(training_data(few, 1, recipe, 7).labels)
    assert len(set(counts)) == 3
    run, progress = Run(tmp_path, "custom-cnn", "demo", recipe, 7, "", 1, "data-one"), told()
    monkeypatch.setattr(train, "_finish", lambda *args: {})
    train_run(run, few, progress)
    assert len(progress.steps) == 3 * counts.max() // 16 > counts.sum() // 16


def test_inner_rows_by_rand_augment_are_made_once_at_its_rate(dataset):
    recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1), inner_fraction=0.4)
    assert training_data(dataset, 1, recipe, seed=7).inner_augmented is None
    asked = recipe.model_copy(update={"inner_rand_augment": Dose(rate=0.7, strength=0.8)})
    data = training_data(dataset, 1, asked, seed=7)
    images = data.inner_augmented
    assert (images.dtype, images.shape) == (np.uint8, data.inner_clean.shape)
    changed = (images != data.inner_clean).any(axis=(1, 2, 3)).sum()
    most = round(0.7 * len(images))
    assert most - 4 <= changed <= most  # now and then a change leaves an image as it was
    again = training_data(dataset, 1, asked, seed=7)
    np.testing.assert_array_equal(again.inner_augmented, images)


def test_a_class_with_a_single_training_image_is_one_clear_line(dataset):
    lonely = replace(dataset, part=np.where(dataset.labels == 2, 1, dataset.part))
    lonely.part[6] = 0  # the only blue one
    recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1))
    with pytest.raises(DatasetError, match="at least 2 distinct pictures of each class"):
        training_data(lonely, 1, recipe, 0)


# ---- the parts -----------------------------------------------------------------------------------


def test_the_sheet_shows_a_batch_as_the_network_receives_it(finished, dataset, monkeypatch):
    drawn = {}

    def sheet(path, images, titles, **settings):
        drawn.update(path=path, images=images, titles=titles)

    monkeypatch.setattr(train, "contact_sheet", sheet)
    data = training_data(dataset, 1, finished.run.recipe, 7)
    train._draw_batches(finished.run, data, dataset)
    assert drawn["path"] == finished.run.folder / "batches.png"
    assert drawn["images"].shape == (16, 16, 16, 3)
    assert drawn["images"].dtype == np.uint8
    given = {image.tobytes() for image in data.images}
    unchanged = [image.tobytes() in given for image in drawn["images"]]
    assert 0 < sum(unchanged) < 16  # half may be flipped, half mixed
    names = {*dataset.classes}
    assert names & {*drawn["titles"]}
    shares = [title.split("\n") for title in drawn["titles"] if "%" in title]
    assert shares
    for lines in shares:
        parts = [line.split("% ") for line in lines]
        assert 98 <= sum(int(share) for share, _ in parts) <= 101
        assert {name for _, name in parts} <= names
        assert int(parts[0][0]) >= 50


def test_imagenet_weights_are_loaded_only_when_the_recipe_asks(monkeypatch):
    asked = []
    monkeypatch.setattr(train, "resolve", lambda name, given: asked.append((name, given)) or "file")
    monkeypatch.setattr(train, "load_pretrained", lambda *args: asked.append(args))
    network = object()
    module = SimpleNamespace(build=lambda recipe, image_px, classes: network)
    recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1))
    assert build_network(module, recipe, 16, 3, Path("given.h5")) is network
    assert asked == []
    pretrained = recipe.model_copy(update={"weights": "imagenet"})
    assert build_network(module, pretrained, 16, 3, Path("given.h5")) is network
    assert asked == [("toy", Path("given.h5")), (network, "toy", "file")]


def test_a_run_that_goes_on_does_not_ask_for_the_pretrained_file_again(
    dataset, told, tmp_path, monkeypatch
):
    recipe = Recipe(name="custom-cnn", weights="imagenet", whole=Phase(epochs=1, peak_lr=1))
    run = Run(tmp_path, "custom-cnn", "full", recipe, 0, "", 0, dataset.fingerprint)
    built, fitted = [], []

    def fit(network, recipe, *args):
        fitted.append(recipe.weights)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "build_network", lambda *args: built.append(args[1].weights))
    monkeypatch.setattr(train, "fit", fit)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_run(run, dataset, told())
        (run.folder / "checkpoint.h5").write_bytes(b"")
    assert built == ["imagenet", "none"]
    assert fitted == ["imagenet", "imagenet"]  # both phases, all the same
