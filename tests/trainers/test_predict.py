import json
import shutil

import h5py
import numpy as np
import pytest

from cells.dataset import open_dataset
from cells.errors import RunError
from submission.model import RUNTIME_VERSION, VIEWS, read_member
from trainers.predict import predict_run


@pytest.fixture(scope="module")
def stored(finished):
    with h5py.File(finished.run.folder / "predictions.h5") as file:
        return dict(file.attrs), {key: file[key][()] for key in file}


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(finished.run.folder, tmp_path / "fold-1")


def test_attributes_as_promised(finished, stored):
    attrs, _ = stored
    with h5py.File(finished.run.folder / "member.h5") as member:
        fingerprint = member.attrs["member_fingerprint"]
    assert attrs == {
        "kind": "predictions",
        "format": 1,
        "run": finished.run.run,
        "name": "custom-cnn",
        "preset": "demo",
        "fold": 1,
        "classes": '["red", "green", "blue"]',
        "data_fingerprint": "data-one",
        "member_fingerprint": fingerprint,
        "runtime_version": RUNTIME_VERSION,
        "views": json.dumps(list(VIEWS)),
    }
    assert json.loads(attrs["views"])[0] == "identity"


def test_rows_are_those_held_out_and_of_the_test_part(dataset, stored):
    _, arrays = stored
    np.testing.assert_array_equal(arrays["rows"], np.arange(1, 72, 3))
    np.testing.assert_array_equal(arrays["test_rows"], np.arange(72, 80))
    assert not set(arrays["rows"]) & set(dataset.train_rows(1))
    assert not set(arrays["test_rows"]) & {*dataset.train_rows(1), *arrays["rows"]}
    assert arrays["rows"].dtype == arrays["test_rows"].dtype == np.int64


def test_probabilities_are_the_runtimes_own_for_every_view(finished, dataset, stored):
    _, arrays = stored
    network = read_member(finished.run.folder / "member.h5")
    assert set(arrays) == {"rows", "test_rows", "clean", "shifted", "test_clean", "test_shifted"}
    for prefix in ("", "test_"):
        rows = arrays[f"{prefix}rows"]
        for key, images in (("clean", dataset.images(rows)), ("shifted", dataset.shifted(rows))):
            probs = arrays[prefix + key]
            assert (probs.shape, probs.dtype) == ((len(rows), 8, 3), np.float32)
            np.testing.assert_allclose(probs.sum(axis=2), 1, atol=1e-5)
            for number, view in enumerate(VIEWS):
                np.testing.assert_allclose(probs[:, number], network.probs(images, view), atol=1e-6)
    assert np.ptp(arrays["clean"], axis=1).max() > 1e-4  # views differ
    assert np.abs(arrays["clean"] - arrays["shifted"]).max() > 1e-3


def test_remaking_gives_the_same_and_returns_the_held_out_rows_unturned(folder, dataset, stored):
    (folder / "predictions.h5").unlink()
    lines = []
    found = predict_run(folder, dataset, lines.append)
    with h5py.File(folder / "predictions.h5") as file:
        np.testing.assert_allclose(file["clean"][()], stored[1]["clean"], atol=1e-6)
        np.testing.assert_array_equal(found["clean"], file["clean"][:, 0])
        np.testing.assert_array_equal(found["shifted"], file["shifted"][:, 0])
    np.testing.assert_array_equal(found["labels"], dataset.labels[1:72:3])
    held_out, test = len(dataset.held_out_rows(1)), len(dataset.test_rows())
    assert lines == [
        f"predicting held-out clean images: {held_out} in 8 views",
        f"predicting held-out shifted images: {held_out} in 8 views",
        f"predicting test clean images: {test} in 8 views",
        f"predicting test shifted images: {test} in 8 views",
    ]


def test_another_dataset_is_refused(folder, dataset, tmp_path):
    path = shutil.copy(dataset.path, tmp_path / "dataset.h5")
    with h5py.File(path, "a") as file:
        file.attrs["fingerprint"] = "data-two"
    before = (folder / "predictions.h5").read_bytes()
    with pytest.raises(RunError) as error:
        predict_run(folder, open_dataset(tmp_path / "dataset.h5"), print)
    assert str(error.value) == (
        f"{folder}: trained on dataset data-one, this one is data-two. "
        "Train again, or prepare that archive."
    )
    assert (folder / "predictions.h5").read_bytes() == before


def test_a_member_that_is_gone_or_damaged(folder, dataset):
    member = folder / "member.h5"
    member.write_bytes(member.read_bytes()[:500])
    with pytest.raises(
        RunError, match=r"member.h5: damaged.* Delete the folder and train it again\.$"
    ):
        predict_run(folder, dataset, print)
    member.unlink()
    with pytest.raises(
        RunError, match=r"member.h5: no such file.* Delete the folder and train it again\.$"
    ):
        predict_run(folder, dataset, print)
