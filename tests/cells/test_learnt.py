"""Which held-out rows a model has met, by number, by picture and by near copy; all by hand."""

from pathlib import Path

import numpy as np
import pytest

from cells.competition import Competition
from cells.dataset import Dataset, open_dataset, write_dataset
from cells.errors import RunError
from cells.learnt import HeldOut, held_out, learnt_images


def written(path: Path, images: np.ndarray, fingerprint: str, px: int = 16) -> Dataset:
    """Twelve rows: 0-3 of fold 0, 4-7 of fold 1, 8 and 9 test, 10 and 11 dropped.

    Rows 3 and 4 are near copies, though of different folds; 10 is a copy of 0.
    """
    write_dataset(
        path,
        Competition(name="two", title="Two", classes=("a", "b"), image_px=px),
        fingerprint,
        2,
        ("dark",),
        images,
        images,
        {
            "labels": np.arange(12) % 2,
            "group": np.array([0, 1, 2, 3, 3, 5, 6, 7, 8, 9, 0, 11], np.int32),
            "part": np.array([0] * 8 + [1, 1, -1, -1], np.int8),
            "fold": np.array([0] * 4 + [1] * 4 + [-1] * 4, np.int8),
            "dropped": np.array([0] * 10 + [1, 2], np.uint8),
            "shift_family": np.zeros(12, np.uint8),
            "shift_severity": np.ones(12, np.uint8),
        },
    )
    return open_dataset(path)


def noise(seed: int, px: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (12, px, px, 3), dtype=np.uint8)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return written(tmp_path / "dataset.h5", noise(0), "one")


def listed(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def met(dataset: Dataset, trained_on: Path, fold: int) -> HeldOut:
    return held_out(dataset, fold, learnt_images(trained_on, dataset, fold))


@pytest.mark.parametrize(
    ("rows", "fold", "state", "seen"),
    [
        ("5\n6\n7\n", 0, "unseen", 0),
        ("5\n4\n", 0, "seen", 1),  # 4 is a near copy of 3, which fold 0 holds out
        ("5\n8\n9\n", 0, "seen", 2),  # the test part
        ("10\n", 0, "seen", 1),  # a dropped copy of row 0
        ("10\n", 1, "unseen", 0),
        ("label,row\n1,1\n0,2\n", 0, "seen", 2),
    ],
)
def test_a_list_of_rows(dataset, tmp_path, rows, fold, state, seen):
    found = met(dataset, listed(tmp_path / "rows.csv", rows), fold)
    assert found == HeldOut(state, seen, 6)


def test_an_array_of_rows(dataset, tmp_path):
    np.save(tmp_path / "rows.npy", np.array([0, 0, 5]))
    assert met(dataset, tmp_path / "rows.npy", 0) == HeldOut("seen", 1, 6)


def test_this_dataset_means_its_rows_without_the_fold(dataset):
    # fold 1's row 4 is a near copy of row 3: that alone was met
    assert met(dataset, dataset.path, 0) == HeldOut("seen", 1, 6)


def test_another_dataset_counts_by_its_pictures(dataset, tmp_path):
    images = noise(1)
    images[6], images[8] = dataset.images([1])[0], dataset.images([2])[0]  # 8 is its test part
    other = written(tmp_path / "other.h5", images, "two")
    assert met(dataset, other.path, 0) == HeldOut("seen", 1, 6)
    assert met(dataset, other.path, 1) == HeldOut("unseen", 0, 6)


def test_nobody_knows(dataset):
    found = held_out(dataset, 0, None)
    assert found == HeldOut("unknown", 0, 6)
    assert str(found) == "held-out unknown: nobody said which rows it learnt from"


def test_said_in_words():
    assert str(HeldOut("seen", 1200, 2000)) == "learnt from 1,200 of the 2,000 rows that it is " + (
        "scored on"
    )
    assert str(HeldOut("unseen", 0, 5)) == "scored on rows that it has not seen"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected rows 0 to 11, got none"),
        ("3\n12\n", "expected rows 0 to 11, got 3 to 12"),
        ("three\n", "expected a dataset.h5 or a list of rows"),
        ("1\ntwo\n", "expected a dataset.h5 or a list of rows"),
    ],
)
def test_what_is_no_list_is_one_clear_line(dataset, tmp_path, text, words):
    with pytest.raises(RunError, match=f"--trained-on: {words}"):
        learnt_images(listed(tmp_path / "rows.txt", text), dataset, 0)


def test_a_list_that_is_not_there_is_one_clear_line(dataset, tmp_path):
    with pytest.raises(RunError, match=r"--trained-on: expected a dataset\.h5 or a list of rows"):
        learnt_images(tmp_path / "none.txt", dataset, 0)


def test_a_dataset_of_other_pixels_is_one_clear_line(dataset, tmp_path):
    other = written(tmp_path / "other.h5", noise(1, 20), "two", 20)
    with pytest.raises(RunError, match="expected images of 16 px, as this dataset has, got 20"):
        learnt_images(other.path, dataset, 0)
