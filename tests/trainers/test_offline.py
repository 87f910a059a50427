import os
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest

from cells.errors import RunError
from cells.policy import Dose, Policy
from trainers import offline
from trainers.offline import offline_images
from trainers.recipe import Phase, Recipe

N, PX = 10, 8
IMAGES = np.random.default_rng(0).integers(0, 256, (N, PX, PX, 3)).astype(np.uint8)
LABELS = np.array([0] * 6 + [1] * 3 + [2])


def made(folder: Path, count=25, seed=0, lines=None, images=IMAGES, labels=LABELS, **fields):
    fields = {"policy": Policy(flip=0), **fields}
    recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1), **fields)
    say = [].append if lines is None else lines.append
    return offline_images(folder, images, labels, 3, count, recipe, seed, say)


def numbers(images: np.ndarray) -> list[int]:
    """Which of IMAGES each image is."""
    of = {image.tobytes(): number for number, image in enumerate(IMAGES)}
    return [of[image.tobytes()] for image in images]


def test_each_row_comes_as_often_as_any_other_with_its_label(tmp_path):
    images, labels = made(tmp_path)
    assert (images.dtype, images.shape) == (np.uint8, (25, PX, PX, 3))
    assert (labels.dtype, labels.shape) == (np.float32, (25, 3))
    rows = numbers(images)
    np.testing.assert_array_equal(labels, np.eye(3)[LABELS[rows]])
    for start in (0, 10):
        assert sorted(rows[start : start + N]) == [*range(N)]
    assert len(set(rows[20:])) == 5
    assert rows[:10] != rows[10:20]


def test_images_are_changed_by_the_policy_and_labels_mixed_with_them(tmp_path):
    policy = Policy(flip=0.5, hue=Dose(rate=0.5), mixup=Dose(rate=1, strength=1))
    images, labels = made(tmp_path, policy=policy)
    given = {image.tobytes() for image in IMAGES}
    assert sum(image.tobytes() in given for image in images) < 8
    assert ((labels > 0.05) & (labels < 0.95)).any()
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)


def test_rare_classes_are_oversampled_in_the_file(tmp_path):
    _, labels = made(tmp_path, count=36, oversample=1)
    np.testing.assert_array_equal(labels.sum(axis=0), [12, 12, 12])


def test_images_are_mapped_from_the_file_and_cannot_be_changed(tmp_path):
    images, _ = made(tmp_path)
    (path,) = tmp_path.iterdir()
    assert isinstance(images, np.memmap)
    assert images.base is not None
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["images"][()], images)


def test_a_file_is_made_once_for_all_runs_that_ask_for_the_same(tmp_path):
    lines: list[str] = []
    first, _ = made(tmp_path, lines=lines)
    (path,) = tmp_path.iterdir()
    assert lines == ["augmenting once: 25 of 25 images"]
    written = path.stat().st_mtime_ns
    again, _ = made(tmp_path, lines=lines, batch=32, dropout=0.5)  # what the file knows nothing of
    assert lines[1:] == [f"{path}: 25 images made before"]
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize(
    "other",
    [{"count": 24}, {"seed": 1}, {"policy": Policy()}, {"oversample": 0.5}],
    ids=lambda other: next(iter(other)),
)
def test_what_changes_the_images_makes_another_file(tmp_path, other):
    made(tmp_path)
    made(tmp_path, **other)
    assert len({*os.listdir(tmp_path)}) == 2


def test_other_rows_make_another_file(tmp_path):
    made(tmp_path)
    made(tmp_path, images=255 - IMAGES)
    made(tmp_path, labels=2 - LABELS)
    assert len(os.listdir(tmp_path)) == 3


def test_an_interruption_leaves_no_file_behind(tmp_path, monkeypatch):
    def interrupted(*args):
        yield IMAGES, np.eye(3, dtype=np.float32)[LABELS]
        raise KeyboardInterrupt

    monkeypatch.setattr(offline, "augmented_in_order", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_disk_too_full_is_said_before_anything_is_made(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(offline.shutil, "disk_usage", lambda path: usage(0, 0, 4_000_000))
    with pytest.raises(RunError) as error:
        made(tmp_path, count=20_000)
    text = str(error.value)
    assert text.startswith(f"{tmp_path}{os.sep}")
    # 20,000 · (8 · 8 · 3 + 4 · 3) bytes and 5 % more
    assert text.endswith(
        ".h5: expected 0.0043 GB of free disk for the augmented images, got 0.004 GB. "
        "Free some, or make fewer with --set offline_images=…"
    )
    assert os.listdir(tmp_path) == []


def test_a_damaged_file_is_one_line(tmp_path):
    made(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no longer")
    with pytest.raises(RunError) as error:
        made(tmp_path)
    assert str(error.value).startswith(f"{path}: damaged (")
    assert str(error.value).endswith("). Delete it: it is made again.")
