import csv
import shutil

import numpy as np
import pytest

from cells.archive import read_archive
from cells.competition import Competition
from cells.dataset import COPY, JOKE, KEPT, TEST_PART, open_dataset
from cells.draw import draw_archive
from cells.errors import ArchiveError
from cells.prepare import prepare
from cells.shift import FAMILIES, SEVERITIES, shift_images

FIVE = Competition(name="five", title="", classes=tuple("abcde"), image_px=64)
CELLS = 240


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Root of a prepared five-class, 64 px archive, and the summary."""
    root = tmp_path_factory.mktemp("prepared")
    draw_archive(root / "t.npz", FIVE, cells=CELLS)
    lines = []
    summary = prepare(root / "t.npz", root, FIVE, folds=4, seed=1, report=lines.append)
    assert lines[-1] == f"writing {root / 'work' / 'dataset.h5'}"
    return root, summary


@pytest.fixture
def root(prepared, tmp_path):
    """A copy of the prepared root that a test may change."""
    shutil.copytree(prepared[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_summary(prepared):
    root, summary = prepared
    assert summary["rows"] == CELLS + 2 + 25 + 40
    assert summary["kept"] == CELLS
    assert summary["dropped"] == {"copy": 2, "joke": 65}
    assert summary["near_copies"] == 0
    assert summary["folds"] == 4
    assert sum(summary["classes"].values()) == CELLS
    assert list(summary["classes"]) == list("abcde")
    assert summary["dataset"] == str(root / "work" / "dataset.h5")
    assert summary["seconds"] > 0


def test_dataset_holds_what_was_given(prepared):
    root, summary = prepared
    given = read_archive(root / "t.npz", FIVE)
    dataset = open_dataset(root / "work" / "dataset.h5")
    assert dataset.competition == FIVE
    assert dataset.fingerprint == summary["fingerprint"]
    rows = np.arange(summary["rows"])
    np.testing.assert_array_equal(dataset.images(rows), given.images)
    np.testing.assert_array_equal(dataset.labels, given.labels)
    assert np.bincount(dataset.dropped).tolist() == [CELLS, 2, 65]


def test_parts_and_folds_divide_the_kept_rows(prepared):
    dataset = open_dataset(prepared[0] / "work" / "dataset.h5")
    held_out = [dataset.held_out_rows(fold) for fold in range(4)]
    together = np.sort(np.concatenate([*held_out, dataset.test_rows()]))
    np.testing.assert_array_equal(together, np.flatnonzero(dataset.dropped == KEPT))
    assert len(dataset.test_rows()) == prepared[1]["test"] == pytest.approx(CELLS / 10, abs=2)
    assert (dataset.group[together] < len(dataset.labels)).all()


def test_every_kept_row_has_one_shifted_copy_from_its_own_part(prepared):
    dataset = open_dataset(prepared[0] / "work" / "dataset.h5")
    assert dataset.shift_names == tuple(FAMILIES)
    images = dataset.images(np.arange(len(dataset.labels)))
    for rows in (dataset.test_rows(), dataset.held_out_rows(2)):
        shifted, family, severity = shift_images(images, rows, seed=1)
        np.testing.assert_array_equal(dataset.shifted(rows), shifted)
        np.testing.assert_array_equal(dataset.shift_family[rows], family)
        np.testing.assert_array_equal(dataset.shift_severity[rows], severity)
        assert set(severity.tolist()) <= set(SEVERITIES)
    dropped = np.flatnonzero(dataset.dropped != KEPT)
    assert not dataset.shifted(dropped).any()
    assert not dataset.shift_severity[dropped].any()


def test_table_says_what_went_and_why(prepared):
    root, _ = prepared
    dataset = open_dataset(root / "work" / "dataset.h5")
    with (root / "work" / "prepare" / "dropped.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["row", "label", "class", "reason", "copy_of", "times"]
    assert [int(line["row"]) for line in table] == np.flatnonzero(dataset.dropped).tolist()
    images = dataset.images(np.arange(len(dataset.labels)))
    codes = {"copy": COPY, "joke": JOKE}
    for line in table:
        row = int(line["row"])
        assert codes[line["reason"]] == dataset.dropped[row]
        assert line["class"] == "abcde"[int(line["label"])] == "abcde"[dataset.labels[row]]
        assert int(line["times"]) == (images == images[row]).all(axis=(1, 2, 3)).sum()
        if line["copy_of"]:
            np.testing.assert_array_equal(images[int(line["copy_of"])], images[row])
    assert [line["copy_of"] for line in table].count("") == 2  # the first of each joke


@pytest.mark.parametrize("name", ["dropped.png", "classes.png", "shifted.png"])
def test_pictures(prepared, name):
    data = (prepared[0] / "work" / "prepare" / name).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 20_000


def stamp(root):
    return (root / "work" / "dataset.h5").stat().st_mtime_ns


def test_again_is_quick_and_says_the_same(root, prepared):
    before, lines = stamp(root), []
    again = prepare(root / "t.npz", root, FIVE, folds=4, seed=1, report=lines.append)
    assert again == prepared[1] | {"dataset": str(root / "work" / "dataset.h5")}
    assert stamp(root) == before
    assert lines[-1] == f"already prepared: {root / 'work' / 'dataset.h5'} (--force does it again)"


@pytest.mark.parametrize("changed", ["seed", "folds", "archive", "force", "picture", "classes"])
def test_anything_that_differs_is_prepared_anew(root, prepared, changed):
    before, competition = stamp(root), FIVE
    arguments = {"folds": 4, "seed": 1}
    if changed == "seed":
        arguments["seed"] = 2
    elif changed == "folds":
        arguments["folds"] = 3
    elif changed == "archive":
        draw_archive(root / "t.npz", FIVE, cells=CELLS, seed=1, force=True)
    elif changed == "force":
        arguments["force"] = True
    elif changed == "picture":
        (root / "work" / "prepare" / "classes.png").unlink()
    else:
        competition = FIVE.model_copy(update={"classes": tuple("edcba")})
    again = prepare(root / "t.npz", root, competition, **arguments)
    assert stamp(root) != before
    same = changed in ("force", "picture")
    assert (again["fingerprint"] == prepared[1]["fingerprint"]) == same
    assert open_dataset(root / "work" / "dataset.h5").fingerprint == again["fingerprint"]


def test_how_the_platform_calls_a_model_leaves_the_data_as_it_is(root, prepared):
    platform = FIVE.platform.model_copy(update={"time_limit_s": 60.0})
    other = FIVE.model_copy(update={"platform": platform})
    again = prepare(root / "t.npz", root, other, folds=4, seed=1)
    assert again["fingerprint"] == prepared[1]["fingerprint"]
    assert open_dataset(root / "work" / "dataset.h5").competition.platform.time_limit_s == 60


def test_a_fault_leaves_what_was_there(root):
    before = stamp(root)
    (root / "t.npz").write_bytes((root / "t.npz").read_bytes()[:5000])
    with pytest.raises(ArchiveError, match="truncated"):
        prepare(root / "t.npz", root, FIVE, folds=4, seed=1)
    assert stamp(root) == before
    with pytest.raises(ArchiveError, match="no such file"):
        prepare(root / "absent.npz", root, FIVE)


def test_near_copies_stay_in_one_fold(root):
    with np.load(root / "t.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    found = open_dataset(root / "work" / "dataset.h5")
    originals = np.flatnonzero(found.dropped == KEPT)[:30]
    mirrored = images[originals][:, :, ::-1]
    np.savez(
        root / "t.npz",
        images=np.concatenate([images, mirrored]),
        labels=np.concatenate([labels, labels[originals]]),
    )
    summary = prepare(root / "t.npz", root, FIVE, folds=4, seed=1)
    assert summary["kept"] == CELLS + 30
    assert summary["near_copies"] == 60
    dataset = open_dataset(root / "work" / "dataset.h5")
    for original, copy in zip(originals, range(len(images), len(images) + 30), strict=True):
        assert dataset.group[original] == dataset.group[copy]
        assert dataset.fold[original] == dataset.fold[copy]
        assert dataset.part[original] == dataset.part[copy]
    assert (dataset.part == TEST_PART).sum() == summary["test"]
