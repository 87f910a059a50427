import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from cells.archive import read_archive
from cells.competition import Competition
from cells.corruptions import FAMILIES, SEVERITIES
from cells.dataset import JOKE, KEPT, MANUAL, REASONS, TEST_PART, open_dataset
from cells.decisions import COLUMNS
from cells.draw import draw_archive
from cells.entries import LabelDoubts, LabelInDoubt
from cells.errors import ArchiveError, ReviewError
from cells.prepare import prepare
from cells.shift import shift_images

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
    assert summary["dropped"] == {"copy": 2, "joke": 65, "outlier": 0, "manual": 0}
    assert summary["manual"] == {"kept": 0, "dropped": 0, "relabelled": 0}
    assert summary["changed"] is None
    assert summary["near_copies"] == 0
    assert summary["folds"] == 4
    assert sum(summary["classes"].values()) == CELLS
    assert list(summary["classes"]) == list("abcde")
    assert summary["dataset"] == str(root / "work" / "dataset.h5")
    assert summary["review"] == str(root / "work" / "prepare" / "review.html")
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


def table(root: Path) -> list[dict[str, str]]:
    with (root / "work" / "prepare" / "review.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def decide(root: Path, decisions: dict[int, str]) -> None:
    """Fill the column decision, and add lines for rows that are not listed, as a user would."""
    lines = table(root)
    for line in lines:
        line["decision"] = decisions.get(int(line["row"]), "")
    listed = {int(line["row"]) for line in lines}
    empty = dict.fromkeys(lines[0], "")
    lines += [
        empty | {"row": str(row), "decision": text}
        for row, text in decisions.items()
        if row not in listed
    ]
    path = root / "work" / "prepare" / "review.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def decisions_in(root: Path) -> dict[int, str]:
    return {int(line["row"]): line["decision"] for line in table(root) if line["decision"]}


def test_table_says_what_went_and_why(prepared):
    root, _ = prepared
    dataset = open_dataset(root / "work" / "dataset.h5")
    lines = table(root)
    assert list(lines[0]) == list(COLUMNS)
    dropped = {
        int(line["row"]): line for line in lines if line["reason"] in ("copy", "joke", "outlier")
    }
    assert sorted(dropped) == np.flatnonzero(dataset.dropped).tolist()
    for row, line in dropped.items():
        assert line["reason"] == REASONS[dataset.dropped[row]]
        assert line["class"] == "abcde"[int(line["label"])] == "abcde"[dataset.labels[row]]
        assert float(line["score"]) == 1
        assert line["why"]
    assert {line["decision"] for line in lines} == {""}


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
    assert again == prepared[1] | {
        "dataset": str(root / "work" / "dataset.h5"),
        "review": str(root / "work" / "prepare" / "review.html"),
    }
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


def test_decisions_are_honoured_kept_and_taken_back(root, prepared):
    first = open_dataset(root / "work" / "dataset.h5")
    joke = int(np.flatnonzero(first.dropped == JOKE)[0])
    gone, renamed, numbered = (int(row) for row in first.held_out_rows(0)[:3])
    named = "abcde"[(first.labels[renamed] + 1) % 5]
    number = int(first.labels[numbered] + 1) % 5
    decisions = {joke: "keep", gone: "drop", renamed: named, numbered: str(number)}
    decide(root, decisions)
    summary = prepare(root / "t.npz", root, FIVE, folds=4, seed=1)

    dataset = open_dataset(root / "work" / "dataset.h5")
    assert (dataset.dropped[joke], dataset.dropped[gone]) == (KEPT, MANUAL)
    assert dataset.labels[renamed] == "abcde".index(named)
    assert dataset.labels[numbered] == number
    others = np.setdiff1d(np.arange(len(first.labels)), list(decisions))
    np.testing.assert_array_equal(dataset.labels[others], first.labels[others])
    np.testing.assert_array_equal(dataset.dropped[others], first.dropped[others])
    assert dataset.part[gone] == -1
    assert dataset.part[joke] in (0, 1)
    learned = {row for fold in range(4) for row in dataset.train_rows(fold).tolist()}
    assert gone not in learned

    assert summary["fingerprint"] == dataset.fingerprint != prepared[1]["fingerprint"]
    assert summary["dropped"] == {"copy": 2, "joke": 64, "outlier": 0, "manual": 1}
    assert summary["manual"] == {"kept": 1, "dropped": 1, "relabelled": 2}
    both = sorted((renamed, numbered))
    assert summary["changed"] == {"stay": [joke], "go": [gone], "relabelled": both}
    assert summary["kept"] == sum(summary["classes"].values()) == CELLS

    lines = {int(line["row"]): line for line in table(root)}
    assert decisions_in(root) == decisions
    assert lines[joke]["reason"] == "joke"
    assert lines[renamed]["class"] == "abcde"[first.labels[renamed]]  # the archive's own
    page = (root / "work" / "prepare" / "review.html").read_text()
    assert f'id="row-{renamed}"' in page
    assert f"decision: {named}" in page

    before, path, said = stamp(root), root / "work" / "prepare" / "review.csv", []
    header, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + b"".join(reversed(rest)))
    prepare(root / "t.npz", root, FIVE, folds=4, seed=1, report=said.append)
    assert said[-1].startswith("already prepared")
    assert stamp(root) == before
    assert decisions_in(root) == decisions

    decide(root, {})
    back = prepare(root / "t.npz", root, FIVE, folds=4, seed=1)
    assert back["fingerprint"] == prepared[1]["fingerprint"]
    assert back["changed"] == {"stay": [gone], "go": [joke], "relabelled": both}


def test_a_decision_that_changes_nothing_keeps_members_valid_and_labels_in_doubt_listed(
    root, prepared
):
    doubts = LabelDoubts(
        archive=prepared[1]["archive"],
        classes=FIVE.classes,
        members=("cnn",),
        looked_at=60,
        kept=CELLS,
        rows=(LabelInDoubt(row=9, score=0.8, suggested=2, why="members say c 0.80"),),
    )
    path = root / "work" / "prepare" / "labels_in_doubt.json"
    path.write_text(doubts.model_dump_json())
    decide(root, {3: "keep"})
    again = prepare(root / "t.npz", root, FIVE, folds=4, seed=1)
    assert again["inputs"] != prepared[1]["inputs"]
    assert again["fingerprint"] == prepared[1]["fingerprint"]
    assert again["changed"] == {"stay": [], "go": [], "relabelled": []}
    assert decisions_in(root) == {3: "keep"}
    first = table(root)[0]  # what `bcsub review` found before is listed again
    assert (first["row"], first["reason"], first["suggested"]) == ("9", "label", "c")


def test_a_wrong_decision_leaves_what_was_there(root):
    decide(root, {3: "drop", 10_000: "drop"})
    before, path = stamp(root), root / "work" / "prepare" / "review.csv"
    content = path.read_bytes()
    with pytest.raises(
        ReviewError, match=r"review\.csv, line \d+: row: expected 0 to 306, got 10000"
    ):
        prepare(root / "t.npz", root, FIVE, folds=4, seed=1)
    assert stamp(root) == before
    assert path.read_bytes() == content


def test_decisions_stay_with_their_archive(root):
    decide(root, {3: "drop"})
    prepare(root / "t.npz", root, FIVE, folds=4, seed=1)
    draw_archive(root / "other.npz", FIVE, cells=100, seed=2)
    lines = []
    other = prepare(root / "other.npz", root, FIVE, folds=4, seed=1, report=lines.append)
    assert other["manual"] == {"kept": 0, "dropped": 0, "relabelled": 0}
    assert other["changed"] is None
    assert decisions_in(root) == {}
    (aside,) = (root / "work" / "prepare").glob("review.*.csv")
    assert any(line.endswith(f"another archive. Kept as {aside.name}") for line in lines)
    back = prepare(root / "t.npz", root, FIVE, folds=4, seed=1)
    assert back["manual"]["dropped"] == 1
    assert decisions_in(root) == {3: "drop"}
    assert not aside.exists()
