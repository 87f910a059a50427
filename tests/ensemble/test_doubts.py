import csv
import json

import h5py
import numpy as np
import pytest

from cells.clean import Cleaning
from cells.entries import to_store
from cells.errors import DatasetError, EnsembleError
from ensemble.doubts import held_out, labels_in_doubt, review_labels
from ensemble.runs import find_members
from tests.ensemble.conftest import CLASSES, ROWS, sure

SHA = "e" * 64


def refuse(folder, dataset):
    raise AssertionError(f"{folder}: predicted again without need")


@pytest.fixture
def prepared(root):
    """The root as `bcsub prepare` leaves it: what was found, and a summary."""
    found = Cleaning(
        dropped=np.zeros(ROWS, np.uint8),
        copy_of=np.full(ROWS, -1),
        times=np.ones(ROWS, np.int64),
        group=np.arange(ROWS, dtype=np.int32),
        doubt=np.zeros(ROWS, np.float32),
        why=("",) * ROWS,
    )
    with h5py.File(root.dataset.path, "a") as file:
        for name, values in to_store(found, root.dataset.labels).items():
            file[f"found/{name}"] = values
    folder = root.path / "work" / "prepare"
    folder.mkdir()
    summary = {"fingerprint": root.dataset.fingerprint, "archive": SHA, "changed": None}
    (folder / "summary.json").write_text(json.dumps(summary))
    return root


def contradict(positions, p=0.9):
    """What a member says that is sure of the labels, and at `positions` of the next class."""

    def probs(labels):
        labels = labels.copy()
        labels[positions] = (labels[positions] + 1) % 3
        return sure(labels, p)

    return probs


def review(root, *wanted, lines=None):
    report = (lambda line: None) if lines is None else lines.append
    return review_labels(root.path, wanted, remake=refuse, report=report)


def table(root):
    path = root.path / "work" / "prepare" / "review.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_is_judged_by_the_members_that_held_it_out(root):
    root.run("cnn-cpu", 0, probs=lambda labels: root.sure(labels, 0.5))
    root.run("cnn-cpu", 1, probs=lambda labels: root.sure(labels, 0.9))
    root.run("atto-cpu", 1, probs=lambda labels: root.sure(labels, 0.7))
    members = find_members(
        root.path / "runs", root.dataset, remake=refuse, report=lambda line: None
    )
    rows, probs = held_out(members)
    assert rows.tolist() == list(range(96))
    true = probs[np.arange(96), root.dataset.labels[:96]]
    np.testing.assert_allclose(true[0::2], 0.5, rtol=1e-6)  # fold 0: one member
    np.testing.assert_allclose(true[1::2], 0.8, rtol=1e-6)  # fold 1: the mean of two
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-6)


def test_wrong_labels_are_found_the_most_doubtful_first(capfd):
    true = np.arange(60) % 3
    given = true.copy()
    given[[4, 20, 41]] = (true[[4, 20, 41]] + 1) % 3
    p = np.full(60, 0.9)
    p[20] = 0.98
    found = labels_in_doubt(np.arange(100, 160), sure(true, p)[:, 0], given, CLASSES)
    assert [each.row for each in found] == [120, 104, 141]
    assert [each.suggested for each in found] == true[[20, 4, 41]].tolist()
    np.testing.assert_allclose([each.score for each in found], [0.99, 0.95, 0.95], atol=1e-6)
    assert found[0].why == "members say flat 0.98, round 0.01"
    assert capfd.readouterr() == ("", "")


def test_labels_without_doubt_and_a_class_that_nobody_held_out():
    true = np.arange(40) % 2  # never the third class
    assert labels_in_doubt(np.arange(40), sure(true, 0.8)[:, 0], true, CLASSES) == ()


def test_they_come_onto_page_and_table_and_decisions_stay(prepared):
    folder = prepared.path / "work" / "prepare"
    (folder / "review.csv").write_text("row,decision,archive\n6,drop,\n12,2,\n")
    prepared.run("cnn-cpu", 0, probs=contradict([3, 10, 20]))  # rows 6, 20 and 40
    lines = []
    result = review(prepared, lines=lines)
    assert lines == ["looking at the labels of 48 of 120 rows, held out by cnn-cpu"]
    assert result["members"] == ["cnn-cpu"]
    assert (result["looked_at"], result["kept"]) == (48, 120)
    assert [each["row"] for each in result["doubted"]] == [6, 20, 40]
    assert result["doubted"][0] == {
        "row": 6,
        "label": "round",
        "suggested": "lobed",
        "score": pytest.approx(0.95),
    }
    found = [(int(line["row"]), line["reason"], line["decision"]) for line in table(prepared)]
    assert found == [
        *[(6, "label", "drop"), (20, "label", ""), (40, "label", ""), (12, "manual", "2")]
    ]
    assert [line["suggested"] for line in table(prepared)] == ["lobed", "flat", "round", ""]
    page = (folder / "review.html").read_text()
    assert (
        "Looked at: 48 of 120 rows that stayed, those held out by cnn-cpu (accuracy 0.94)." in page
    )
    assert "members say lobed 0.90, round 0.05" in page

    prepared.run("atto-cpu", 0, probs=contradict([3]))  # two voices against the label of row 6 only
    assert [each["row"] for each in review(prepared)["doubted"]] == [6]
    assert [int(line["row"]) for line in table(prepared)] == [6, 12]


def test_doubts_of_members_that_are_often_wrong_come_with_a_warning(prepared):
    prepared.run("good-cpu", 0, probs=contradict([3]))  # 47 of 48 right
    lines = []
    assert review(prepared, lines=lines)["warning"] is None
    prepared.run("weak-cpu", 0, probs=contradict(np.arange(20)))  # 28 of 48
    result = review(prepared, lines=lines)
    assert result["accuracies"] == [0.9792, 0.5833]
    assert result["warning"] == (
        "1 of 2 members are right about less than 0.80 of what they held out, at worst 0.58: many "
        "of these doubts are their own errors. Train longer, or ask only good ones: "
        "bcsub review RUN"
    )
    assert [line for line in lines if "warning" in line] == [f"warning: {result['warning']}"]
    page = (prepared.path / "work" / "prepare" / "review.html").read_text()
    assert "held out by good-cpu (accuracy 0.98), weak-cpu (accuracy 0.58)." in page
    assert f"Warning: {result['warning']}." in page


def test_who_may_have_learnt_from_a_label_does_not_judge_it(prepared):
    prepared.run("good-cpu", probs=contradict([3]))
    folder = prepared.run("brought-adopted", probs=contradict([]))
    about = json.loads((folder / "recipe.json").read_text())
    about |= {"held_out": "unknown", "held_out_said": "held-out unknown"}
    (folder / "recipe.json").write_text(json.dumps(about))
    lines: list[str] = []
    assert review(prepared, lines=lines)["members"] == ["good-cpu"]
    assert "brought-adopted: held-out unknown. Left out" in lines
    with pytest.raises(EnsembleError, match="expected some that have not seen their held-out"):
        review(prepared, "brought-adopted")


def test_without_members(prepared):
    with pytest.raises(EnsembleError) as error:
        review(prepared)
    assert str(error.value) == (
        f"{prepared.path}/runs: expected finished runs of dataset data-one, got none. "
        "Run `bcsub train NAME` first."
    )


def test_a_dataset_prepared_otherwise(prepared):
    summary = prepared.path / "work" / "prepare" / "summary.json"
    prepared.run("cnn-cpu", 0)
    for text, got in (('{"fingerprint": "data-two"}', "data-two"), ("{", "none")):
        summary.write_text(text)
        with pytest.raises(DatasetError) as error:
            review(prepared)
        assert str(error.value) == (
            f"{summary}: expected one of dataset data-one, got {got}. "
            f"Run `bcsub prepare ARCHIVE --root {prepared.path}` again."
        )
