"""The whole road by its commands: archive → members → ensemble → zip → emulated score.

On real cells where the real archive lies beside the checkout, else on drawn ones.
"""

import json
import runpy
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import h5py
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import trainers.train
from bcsub.app import app
from cells.competition import load_competition
from cells.dataset import open_dataset
from cells.draw import draw_archive
from cells.policy import Dose, Policy
from submission.model import VIEWS, read_member, turn
from trainers.export import write_member
from trainers.storage import Storage

REAL = Path(__file__).parents[2] / "shared" / "data" / "pbc96_train.h5"
PER_CLASS = 60
DOSES = [name for name, field in Policy.model_fields.items() if field.annotation is Dose]
PLAIN = [f"policy.{name}.rate=0" for name in DOSES]


def settings(*fields: str) -> list[str]:
    """Options that set these fields, and leave every augmentation but the flips out."""
    return [word for field in (*fields, *PLAIN) for word in ("--set", field)]


# Few pictures in many small steps, so that members become sure of most images.
SHORT = settings("whole.epochs=6", "batch=16", "ema_momentum=0.8")


def write_archive(path: Path) -> None:
    """A small archive in the platform's format: real cells if they are at hand."""
    if not REAL.is_file():
        draw_archive(path, load_competition("an2dl2024"), 8 * PER_CLASS)
        return
    with h5py.File(REAL) as file:
        labels = file["labels"][:]
        rows = np.concatenate([np.flatnonzero(labels == k)[:PER_CLASS] for k in range(8)])
        images = [cv2.imdecode(np.frombuffer(file["jpeg"][row], np.uint8), 1) for row in rows]
    np.savez(path, images=np.stack(images)[..., ::-1], labels=labels[rows, None].astype(np.uint8))


def run(*arguments: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"{arguments}: {result.output}"


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A root at the end of the road, and the Keras networks that its members were exported from."""
    root = tmp_path_factory.mktemp("road")
    write_archive(root / "archive.npz")
    networks: dict[str, keras.Model] = {}
    write_member = trainers.train.write_member

    def keeping(path: Path, network: keras.Model, attrs: dict, storage: Storage) -> str:
        networks[attrs["run"]] = network
        return write_member(path, network, attrs, storage)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers.train, "write_member", keeping)
        at = ("--root", str(root))
        run("prepare", str(root / "archive.npz"), "--folds", "3", *at)
        run("train", "--all", "--preset", "demo", *SHORT, *at)
        run("ensemble", "--weights", "simplex", "--views", "all", *at)
        run("pack", *at)
    return SimpleNamespace(path=root, networks=networks)


def test_the_zip_answers_as_the_keras_members_blended_by_hand(road: SimpleNamespace) -> None:
    about = json.loads((road.path / "runs" / "ensemble" / "ensemble.json").read_text())
    dataset = open_dataset(road.path / "work" / "dataset.h5")
    X = dataset.images(np.concatenate([dataset.test_rows(), dataset.held_out_rows(0)]))
    expected = np.zeros((len(X), len(dataset.classes)))
    for name, weight in about["weights"].items():
        for view in VIEWS:
            turned = turn(X, view).astype(np.float32)
            logits = road.networks[name].predict(turned, verbose=0)
            expected += weight / len(VIEWS) * np.asarray(keras.ops.softmax(logits))
    unpacked = road.path / "unpacked"
    (packed,) = (road.path / "dist").glob("submission-*.zip")
    zipfile.ZipFile(packed).extractall(unpacked)
    model = runpy.run_path(str(unpacked / "model.py"))["Model"]()
    found = model.predict_proba(X)
    np.testing.assert_allclose(found, expected, atol=2e-3)  # float16 storage
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    sure = first - second > 4e-3
    assert sure.mean() > 0.95
    np.testing.assert_array_equal(model.predict(X)[sure], expected.argmax(axis=1)[sure])
    # Storage moves a number by 5e-4 of itself; an order of views or weights mixed up, by far more.
    assert np.abs(found - expected).mean() < 0.02 * np.abs(expected - expected.mean(axis=0)).mean()


@pytest.mark.parametrize(("storage", "least"), [("float16", 0.999), ("int8", 0.99)])
def test_small_storage_keeps_the_classes_of_trained_members(
    road: SimpleNamespace, tmp_path: Path, storage: Storage, least: float
) -> None:
    """Of a thousand images, cells as they are and shifted ones."""
    dataset = open_dataset(road.path / "work" / "dataset.h5")
    held_out = dataset.held_out_rows(0)
    plain = np.concatenate([dataset.images(dataset.train_rows(0)), dataset.images(held_out)])
    shifted = [turn(dataset.shifted(held_out), view) for view in VIEWS]
    X = np.concatenate([plain, turn(plain, "rot90"), *shifted])
    assert len(X) > 1000
    about = {"name": "a", "classes": dataset.classes, "image_px": 96}
    assert len(road.networks) == 2
    for network in road.networks.values():
        found = []
        for each in (storage, "float32"):
            write_member(tmp_path / "member.h5", network, about, each)
            found.append(read_member(tmp_path / "member.h5").probs(X).argmax(axis=1))
        assert len(np.unique(found[1])) > len(dataset.classes) / 2  # it has learnt something
        assert (found[0] == found[1]).mean() >= least


def test_the_zip_is_flat_and_runs_without_us(road: SimpleNamespace) -> None:
    (packed,) = (road.path / "dist").glob("submission-*.zip")
    assert sorted(zipfile.ZipFile(packed).namelist()) == ["model.py", "weights.h5"]
    run("emulate", str(packed), "--root", str(road.path))
    (folder,) = (road.path / "runs" / "emulated").iterdir()
    scores = json.loads((folder / "scores.json").read_text())
    # what the road promises: the emulated score is the one that `ensemble` wrote down
    about = json.loads((road.path / "runs" / "ensemble" / "ensemble.json").read_text())
    assert scores["accuracy"] == pytest.approx(about["test_shifted_accuracy"], abs=1e-9)
    assert (folder / "confusion.png").is_file()


def test_every_step_can_be_run_again(road: SimpleNamespace) -> None:
    """Nothing is trained again, and the same members give the same bundle and zip."""
    before = {path: path.stat().st_mtime_ns for path in road.path.glob("runs/*/fold-0/*")}
    (packed,) = (road.path / "dist").glob("submission-*.zip")
    content = packed.read_bytes()
    run("train", "--all", "--preset", "demo", *SHORT, "--root", str(road.path))
    run("ensemble", "--weights", "simplex", "--views", "all", "--root", str(road.path))
    run("pack", "--root", str(road.path))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [packed] == list((road.path / "dist").glob("submission-*.zip"))
    assert packed.read_bytes() == content


FIVE = """
name = "five"
title = "Five kinds of cells, 64 px"
classes = ["a", "b", "c", "d", "e"]
image_px = 64
"""


def test_another_competition_goes_the_whole_road(tmp_path: Path) -> None:
    """Five classes and 64 px, from a file: no command knows the edition it was made for."""
    (tmp_path / "five.toml").write_text(FIVE)
    five, at = ("--competition", str(tmp_path / "five.toml")), ("--root", str(tmp_path))
    archive = str(tmp_path / "t.npz")
    run("draw", archive, "--cells", "200", *five)
    run("prepare", archive, "--folds", "3", *five, *at)
    run("train", "custom-cnn", "--preset", "demo", *settings("whole.epochs=2"), *at)
    run("ensemble", *at)
    run("pack", *at)
    run("emulate", *at)
    (scores,) = (tmp_path / "runs" / "emulated").glob("*/scores.json")
    found = json.loads(scores.read_text())
    assert found["verdict"] == "ok"
    assert [each["class"] for each in found["per_class"]] == ["a", "b", "c", "d", "e"]
