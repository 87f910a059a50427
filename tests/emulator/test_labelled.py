"""What a zip is scored on: the right half of the dataset, or an npz, with a warning where due."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cells.competition import Archive, Competition
from cells.dataset import write_dataset
from cells.errors import ArchiveError, CompetitionError, DatasetError
from emulator.labelled import choose_set, competition_of


def plain_images(levels: list[int]) -> np.ndarray:
    return np.tile(np.array(levels, np.uint8)[:, None, None, None], (1, 16, 16, 3))


@pytest.fixture
def root(tmp_path: Path, competition: Competition) -> Path:
    """Six rows: 0-2 are trained on, 3 and 5 are the test part, 4 was dropped."""
    write_dataset(
        tmp_path / "work" / "dataset.h5",
        competition,
        "f" * 16,
        2,
        ("noise",),
        images=plain_images([10, 20, 30, 40, 50, 60]),
        shifted=plain_images([11, 21, 31, 41, 51, 61]),
        rows={
            "labels": np.array([0, 1, 2, 1, 0, 2]),
            "dropped": np.array([0, 0, 0, 0, 1, 0], np.uint8),
            "group": np.arange(6, dtype=np.int32),
            "part": np.array([0, 0, 0, 1, -1, 1], np.int8),
            "fold": np.array([0, 1, 0, -1, -1, -1], np.int8),
            "shift_family": np.zeros(6, np.uint8),
            "shift_severity": np.ones(6, np.uint8),
        },
    )
    return tmp_path


def test_the_shifted_test_part_is_the_default(root, competition):
    chosen = choose_set(root, competition)
    assert chosen.name == "shifted test part"
    assert chosen.images[:, 0, 0, 0].tolist() == [41, 61]
    assert chosen.labels.tolist() == [1, 2]
    assert chosen.rows.tolist() == [3, 5]
    assert chosen.warning is None


def test_clean_takes_the_images_themselves(root, competition):
    chosen = choose_set(root, competition, clean=True)
    assert chosen.name == "clean test part"
    assert chosen.images[:, 0, 0, 0].tolist() == [40, 60]


def test_without_a_dataset_the_next_step_is_named(tmp_path, competition):
    advice = rf"no such file\. Run `bcsub prepare ARCHIVE --root {tmp_path}` first\."
    with pytest.raises(DatasetError, match=advice):
        choose_set(tmp_path, competition)


def test_a_dataset_of_another_competition_is_refused(root, competition):
    other = competition.model_copy(update={"name": "duo", "classes": ("red", "blue")})
    with pytest.raises(DatasetError) as error:
        choose_set(root, other)
    assert "expected 2 classes at 16 px (duo), got 3 at 16 px (colours)." in str(error.value)


def test_an_npz_needs_neither_dataset_nor_every_class(tmp_path, competition):
    path = tmp_path / "set.npz"
    np.savez(path, images=plain_images([7, 200]), labels=np.array([[1], [1]], np.uint8))
    chosen = choose_set(tmp_path, competition, path)
    assert (chosen.name, chosen.labels.tolist(), chosen.rows.tolist()) == (
        "set.npz",
        [1, 1],
        [0, 1],
    )
    assert chosen.images.dtype == np.uint8
    assert chosen.warning is None


def test_copies_of_training_rows_are_warned_of(root, competition):
    path = root / "set.npz"
    # 20 and 30 are trained on; 40 and 60 are the test part; 50 was dropped; 21 is a shifted copy.
    np.savez(path, images=plain_images([20, 40, 30, 50, 60, 21]), labels=np.zeros(6, np.uint8))
    assert choose_set(root, competition, path).warning == (
        "set.npz: 2 of 6 images are exact copies of training rows; this score is too high. "
        "Score on images that no member has learnt."
    )
    np.savez(path, images=plain_images([40, 50, 60]), labels=np.zeros(3, np.uint8))
    assert choose_set(root, competition, path).warning is None


def test_faults_of_an_npz_are_archive_errors(tmp_path, competition):
    path = tmp_path / "set.npz"
    np.savez(path, pictures=plain_images([1]), labels=np.zeros(1, np.uint8))
    with pytest.raises(ArchiveError, match="expected the arrays 'images' and 'labels'"):
        choose_set(tmp_path, competition, path)
    np.savez(path, images=plain_images([1]).astype(object), labels=np.zeros(1))
    with pytest.raises(ArchiveError, match="never loaded"):
        choose_set(tmp_path, competition, path)


def test_clean_and_images_exclude_each_other(root, competition):
    with pytest.raises(DatasetError, match="--clean: chooses a part of the dataset, got --images"):
        choose_set(root, competition, root / "set.npz", clean=True)


def test_the_competition_is_the_datasets_unless_said(root, tmp_path_factory):
    assert competition_of(root, None).name == "colours"
    assert competition_of(root, "an2dl2023").platform.class_name == "model"
    assert competition_of(tmp_path_factory.mktemp("empty"), None).name == "an2dl2024"
    with pytest.raises(CompetitionError, match="got 'nope'"):
        competition_of(root, "nope")


def test_of_an_input_with_splits_only_what_is_asked_for(tmp_path: Path) -> None:
    competition = Competition(
        name="two",
        title="",
        classes=("a", "b"),
        image_px=16,
        archive=Archive(resize="area"),
    )
    arrays = {
        "train_images": np.full((4, 32, 32, 3), 100, np.uint8),
        "train_labels": np.array([0, 1, 0, 1]),
        "test_images": np.full((2, 32, 32, 3), 200, np.uint8),
        "test_labels": np.array([1, 1]),
    }
    np.savez(tmp_path / "m.npz", **arrays)
    usual = choose_set(tmp_path, competition, tmp_path / "m.npz")
    assert usual.labels.tolist() == [0, 1, 0, 1]
    assert usual.images.shape == (4, 16, 16, 3)
    assert usual.warning is None
    asked = choose_set(tmp_path, competition, tmp_path / "m.npz", splits=("test",))
    assert (asked.images == 200).all()
    assert str(asked.warning).startswith("m.npz: with images of test. The platform's hidden")


def test_a_folder_is_scored_on(tmp_path: Path) -> None:
    competition = Competition(name="two", title="", classes=("a", "b"), image_px=16)
    (tmp_path / "set" / "B").mkdir(parents=True)
    Image.fromarray(np.full((16, 16, 3), 7, np.uint8)).save(tmp_path / "set" / "B" / "1.png")
    chosen = choose_set(tmp_path, competition, tmp_path / "set")
    assert chosen.labels.tolist() == [1]
    assert (chosen.images == 7).all()
