"""Today's answers from yesterday's TensorFlow. `write_bundles` puts this file beside the bundles.

Nothing of ours is to be had where this runs but the model.py in each bundle's folder.
"""

import json
import runpy
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

HERE = Path(__file__).parent
PRODUCTS = ("custom-cnn", "convnext-atto")
BUNDLES = sorted(path.parent for path in HERE.glob("*/weights.h5"))


def test_nothing_of_ours_is_installed():
    rooms = ("submission", "cells", "trainers", "ensemble", "emulator", "bcsub", "keras_cv")
    assert [room for room in rooms if find_spec(room)] == []
    print(f"TensorFlow {tf.__version__}, NumPy {np.__version__}, h5py {h5py.__version__}")


def test_every_operation_is_in_some_bundle():
    used = set()
    for place in BUNDLES:
        with h5py.File(place / "weights.h5") as file:
            for member in file["members"].values():
                used |= {step["op"] for step in json.loads(member["program"][()])["ops"]}
    known = set(runpy.run_path(str(BUNDLES[0] / "model.py"))["OPS"])
    # batch norms are in the files, and are folded into what runs
    assert used - {"batch_norm"} == known


def test_int8_is_among_what_is_read():
    with h5py.File(HERE / "custom-cnn-int8" / "weights.h5") as file:
        arrays = file["members/00/arrays"].values()
        stored = {item["values"].dtype.name for item in arrays if isinstance(item, h5py.Group)}
    assert stored == {"int8", "float16"}


@pytest.mark.parametrize("place", [each for each in BUNDLES if each.name in PRODUCTS], ids=str)
def test_bfloat16_is_near_where_it_is_allowed_and_else_not_used(place, monkeypatch):
    images = np.load(HERE / "images.npz")["images"]
    expected = np.load(place / "answers.npz")["probs"]
    module = runpy.run_path(str(place / "model.py"))
    assert [each.bfloat16 for each in module["Model"](place).members] == [False]
    monkeypatch.setenv("BCSUB_BFLOAT16", "1")
    monkeypatch.setitem(module["Model"].__init__.__globals__, "WORTH", 1e9)  # however slow
    model = module["Model"](place)
    assert [each.bfloat16 for each in model.members] == [True]
    assert abs(model.predict_proba(images) - expected).mean() < 0.05


@pytest.mark.parametrize("place", BUNDLES, ids=lambda place: place.name)
def test_the_same_probabilities(place):
    images = np.load(HERE / "images.npz")["images"]
    expected = np.load(place / "answers.npz")["probs"]
    assert expected.std(axis=0).max() > 0.05  # the images matter to the answer
    model = runpy.run_path(str(place / "model.py"))["Model"](place)
    np.testing.assert_allclose(model.predict_proba(images), expected, atol=1e-4)
    labels = model.predict(images)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, expected.argmax(axis=1))
