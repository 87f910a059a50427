"""A network saved by plain Keras is adopted, bundled with the custom CNN, and emulated."""

import json
from pathlib import Path

import keras
import numpy as np
from typer.testing import CliRunner

from bcsub.app import app
from cells.dataset import open_dataset
from submission.model import VIEWS, Model, turn
from tests.submission.conftest import settle

COMPETITION = """
name = "three"
title = "Three kinds of cells, 32 px"
classes = ["a", "b", "c"]
image_px = 32
"""


def run(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, f"{words}: {result.output}"
    return result.output


def saved(path: Path, images: np.ndarray) -> keras.Model:
    """An EfficientNetV2B0 as people save it, in which every layer matters."""
    network, logits = (
        keras.applications.EfficientNetV2B0(
            weights=None, input_shape=(32, 32, 3), classes=3, classifier_activation=activation
        )
        for activation in ("softmax", None)
    )
    settle(logits, images, np.random.default_rng(0))
    network.set_weights(logits.get_weights())
    network.save(path)
    return network


def test_an_efficientnet_is_adopted_bundled_with_the_custom_cnn_and_emulated(
    tmp_path: Path,
) -> None:
    (tmp_path / "three.toml").write_text(COMPETITION)
    three, at = ("--competition", str(tmp_path / "three.toml")), ("--root", str(tmp_path))
    archive = str(tmp_path / "t.npz")
    run("draw", archive, "--cells", "90", *three)
    run("prepare", archive, "--folds", "3", *three, *at)
    small = ("widths=4,6", "depths=0,1", "whole.epochs=1")
    settings = [word for field in small for word in ("--set", field)]
    run("train", "custom-cnn", "--preset", "demo", *settings, *at)
    dataset = open_dataset(tmp_path / "work" / "dataset.h5")
    X = dataset.shifted(dataset.test_rows())
    network = saved(tmp_path / "brought.keras", X)

    exact = ("--storage", "float32")  # an untrained network is that sensitive to a rounded kernel
    said = run("adopt", str(tmp_path / "brought.keras"), "--name", "brought", *exact, *at)
    assert "held-out unknown: nobody said which rows it learnt from" in said
    said = run("ensemble", "--weights", "uniform", "--views", "all", *at)
    assert "warning  brought-adopted-" in said
    run("pack", *at)
    assert "this score is not honest" in run("emulate", *at)
    (scores,) = (tmp_path / "runs" / "emulated").glob("*/scores.json")
    about = json.loads((tmp_path / "runs" / "ensemble" / "ensemble.json").read_text())
    found = json.loads(scores.read_text())
    assert found["verdict"] == "ok"
    assert "brought-adopted-" in found["warning"]
    assert abs(found["accuracy"] - about["test_shifted_accuracy"]) < 1e-9

    model = Model(tmp_path / "submission")
    (ours,) = (member for member in model.members if member.name == "brought")
    expected = np.mean(
        [network.predict(turn(X, view).astype(np.float32), verbose=0) for view in VIEWS], axis=0
    )
    probs = np.mean([ours.probs(X, view) for view in VIEWS], axis=0)
    np.testing.assert_allclose(probs, expected, atol=1e-4)
    assert expected.std(axis=0).max() > 0.05  # images do not all look alike to it
