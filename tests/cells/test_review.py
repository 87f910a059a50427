"""The page, the table and the contact sheets, from a cleaning worked out by hand."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cells import prepare_pictures, review
from cells.clean import Cleaning
from cells.dataset import COPY, JOKE, KEPT, OUTLIER
from cells.decisions import COLUMNS, Decision, Decisions, read_decisions
from cells.entries import Changes, LabelDoubts, LabelInDoubt, Review, entries, read_doubts
from cells.review import cards, spans, write_review

CLASSES = ("round", "lobed & flat", "<b>")
SHA = "c" * 64
LABELS = np.array([0, 1, 2, 0, 1, 0, 2, 0])
FOUND = Cleaning(
    # rows 1-3 one joke, 5 a copy of 4, 6 an outlier
    dropped=np.array([KEPT, JOKE, JOKE, JOKE, KEPT, COPY, OUTLIER, KEPT], np.uint8),
    copy_of=np.array([-1, -1, 1, 1, -1, 4, -1, -1]),
    times=np.array([1, 3, 3, 3, 2, 2, 1, 1]),
    group=np.array([0, 1, 1, 1, 2, 2, 3, 4], np.int32),
    doubt=np.array([0.2, 1, 1, 1, 0, 1, 0.9, 0.6], np.float32),
    why=("pale", "3 times", "3 times", "3 times", "", "as row 4", "all blue", "dark"),
)
REVIEW = Review(SHA, CLASSES, LABELS, FOUND, Decisions(), None, None)
DOUBTS = LabelDoubts(
    archive=SHA,
    classes=CLASSES,
    members=("cnn-cpu-1", "cnn-cpu-2"),
    looked_at=2,
    kept=3,
    rows=(LabelInDoubt(row=0, score=0.7, suggested=2, why="members say <b> 0.9"),),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)


def decided(**texts: tuple[str, bool]) -> Decisions:
    by_row = {int(row[1:]): Decision(text, stays, None, 2) for row, (text, stays) in texts.items()}
    return Decisions(by_row=by_row)


def write(folder: Path, given: Review, images: np.ndarray = IMAGES) -> str:
    write_review(folder, given, images.__getitem__, lambda line: None)
    return (folder / "review.html").read_text()


def test_everything_dropped_and_the_doubtful_are_listed_in_order():
    found = [(each.reason, each.row, round(each.score, 1)) for each in entries(REVIEW)]
    assert found == [
        *[("doubtful", 7, 0.6), ("doubtful", 0, 0.2)],  # row 4 is in no doubt at all
        *[("outlier", 6, 0.9), ("joke", 1, 1), ("joke", 2, 1), ("joke", 3, 1), ("copy", 5, 1)],
    ]


def test_only_the_most_doubtful_are_listed():
    many = Cleaning(
        dropped=np.zeros(300, np.uint8),
        copy_of=np.full(300, -1),
        times=np.ones(300, np.int64),
        group=np.arange(300, dtype=np.int32),
        doubt=(np.arange(300) / 300).astype(np.float32),
        why=("",) * 300,
    )
    listed = entries(replace(REVIEW, found=many, labels=np.zeros(300, np.int64)))
    assert [each.row for each in listed] == list(range(299, 199, -1))


def test_labels_in_doubt_come_first_with_what_is_suggested():
    first, *rest = entries(replace(REVIEW, doubts=DOUBTS))
    assert (first.row, first.reason, first.score, first.suggested) == (0, "label", 0.7, 2)
    assert first.why == "members say <b> 0.9; pale"  # in both lists, shown once
    assert 0 not in [each.row for each in rest]


def test_a_decided_row_is_listed_although_nothing_was_found_about_it():
    listed = {
        each.row: each
        for each in entries(
            replace(REVIEW, decisions=decided(r4=("drop", False), r2=("keep", True)))
        )
    }
    assert (listed[4].reason, listed[4].decision, listed[4].stays) == ("manual", "drop", False)
    assert (listed[2].reason, listed[2].decision, listed[2].stays) == ("joke", "keep", True)


def test_a_row_far_from_the_most_doubtful_is_not_listed_with_its_reason(monkeypatch):
    monkeypatch.setattr("cells.entries.MOST_DOUBTFUL", 1)
    listed = entries(replace(REVIEW, decisions=decided(r0=("keep", True))))
    assert [(each.reason, each.row, each.why) for each in listed if each.stays] == [
        ("doubtful", 7, "dark"),
        ("manual", 0, ""),
    ]


def test_the_same_picture_is_one_card_unless_decided_otherwise():
    shown = {card.row: card for card in cards(entries(REVIEW), CLASSES)}
    assert sorted(shown) == [0, 1, 5, 6, 7]
    assert (shown[1].times, shown[1].rows) == (3, "1-3")
    assert shown[1].labels == "lobed & flat x1, <b> x1, round x1"
    assert shown[1].title == "joke 1.00 x3\nrow 1, 3 labels"
    listed = entries(replace(REVIEW, decisions=decided(r2=("keep", True))))
    shown = {card.row: card for card in cards(listed, CLASSES)}
    assert (shown[1].rows, shown[2].rows, shown[2].stays) == ("1, 3", "2", True)
    assert shown[2].title == "joke 1.00\nrow 2, <b>\ndecision: keep"


def test_spans():
    assert spans([3]) == "3"
    assert spans([3, 5, 6, 7, 9, 10]) == "3, 5-7, 9-10"
    assert spans(list(range(0, 40, 2))) == "0, 2, 4, 6, 8, 10, 12, 14 … (20 rows)"


def test_the_table(tmp_path):
    decisions = Decisions(
        by_row={4: Decision("Drop", False, None, 2)}, note_columns=("mine",), notes={4: ("why",)}
    )
    write(tmp_path, replace(REVIEW, doubts=DOUBTS, decisions=decisions))
    with (tmp_path / "review.csv").open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == [*COLUMNS, "mine"]
    assert [int(line[0]) for line in lines] == [0, 7, 6, 1, 2, 3, 5, 4]
    archive = f"sha256:{'c' * 12}"
    assert lines[0] == [
        *("0", "0", "round", "label", "0.7000", "members say <b> 0.9; pale", "<b>", "", archive, "")
    ]
    assert lines[-1][3:] == ["manual", "0.0000", "", "", "Drop", archive, "why"]
    again = read_decisions(tmp_path, SHA, CLASSES)
    assert again.key() == decisions.key()
    assert again.notes[4] == ("why",)


def test_the_page_holds_all_and_needs_no_other_file(tmp_path):
    page = write(tmp_path, replace(REVIEW, decisions=decided(r6=("keep", True))))
    assert page.count("data:image/jpeg;base64,") == 5
    assert 'src="data:' in page
    assert "http" not in page
    for text in ("4 of 8 rows stay", "row 1-3</b>", "all blue", "decision: keep"):
        assert text in page
    assert "No member was asked yet: <code>bcsub review</code>" in page
    assert "lobed &amp; flat" in page
    assert "<b> x1" not in page  # a class's name is no markup
    for text in ("keep  ", "drop  ", "a class  ", "0 to 2", "review.csv", "bcsub prepare ARCHIVE"):
        assert text in page


def test_each_card_says_what_its_row_is_listed_for_how_surely_and_why(tmp_path):
    page = write(tmp_path, replace(REVIEW, doubts=DOUBTS))
    card = re.compile(r'id="row-(\d+)".*?· (.*?)</span><br>\s*(.*?)<br>', re.DOTALL)
    said = {int(row): (listed, why) for row, listed, why in card.findall(page)}
    assert said == {
        0: ("label 0.70", "members say &lt;b&gt; 0.9; pale"),
        7: ("doubtful 0.60", "dark"),
        6: ("outlier 0.90", "all blue"),
        1: ("joke 1.00", "3 times"),
        5: ("copy 1.00", "as row 4"),
    }


def test_the_page_says_what_differs_from_the_dataset_before(tmp_path):
    heading = "Changed since the dataset before"
    page = write(
        tmp_path, replace(REVIEW, changes=Changes(stay=[4], go=[1, 2, 3, 5], relabelled=[]))
    )
    changed = page.split(heading)[1].split("</section>")[0]
    assert re.findall(r"<p>(.*?)</p>", changed) == ["1 stay now: row 4", "4 go now: row 1-3, 5"]
    page = write(tmp_path, replace(REVIEW, changes=Changes(stay=[], go=[], relabelled=[7])))
    assert "<p>1 have another label: row 7</p>" in page.split(heading)[1]
    for nothing in (None, Changes(stay=[], go=[], relabelled=[])):
        assert heading not in write(tmp_path, replace(REVIEW, changes=nothing))


def test_the_page_says_how_many_labels_were_looked_at(tmp_path):
    page = write(tmp_path, replace(REVIEW, doubts=DOUBTS))
    assert "Looked at: 2 of 3 rows that stayed, those held out by cnn-cpu-1, cnn-cpu-2." in page
    assert "suggested: <b>&lt;b&gt;</b>" in page


def test_a_page_of_many_pictures_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(review, "PICTURES_MB", 0.0025)  # two of these pictures
    page = write(tmp_path, REVIEW)
    assert page.count("data:image/jpeg;base64,") == 2
    assert "pictures only in review.csv" in page


def test_large_images_are_shown_smaller(tmp_path):
    large = np.random.default_rng(0).integers(0, 256, (8, 256, 256, 3), np.uint8)
    write(tmp_path, REVIEW, large)
    assert len((tmp_path / "review.html").read_bytes()) < 150_000


def test_contact_sheets_go_on_and_old_ones_go(tmp_path, monkeypatch):
    (tmp_path / "doubtful-7.png").write_bytes(b"of an earlier, longer list")
    monkeypatch.setattr(prepare_pictures, "PER_SHEET", 2)
    write(tmp_path, REVIEW)  # dropped: outlier, joke, copy; doubtful: two
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["doubtful.png", "dropped-2.png", "dropped.png"]


def test_labels_in_doubt_are_found_again_for_the_same_archive_only(tmp_path):
    write(tmp_path, replace(REVIEW, doubts=DOUBTS))
    assert read_doubts(tmp_path, SHA, CLASSES) == DOUBTS
    assert read_doubts(tmp_path, "d" * 64, CLASSES) is None
    assert read_doubts(tmp_path, SHA, CLASSES[::-1]) is None
    (tmp_path / "labels_in_doubt.json").write_text("{")
    assert read_doubts(tmp_path, SHA, CLASSES) is None


@pytest.mark.parametrize("changed", [True, False])
def test_a_table_saved_meanwhile_is_left_and_told(tmp_path, changed):
    write(tmp_path, REVIEW)
    given = replace(REVIEW, decisions=read_decisions(tmp_path, SHA, CLASSES))
    table, lines = tmp_path / "review.csv", []
    if changed:
        table.write_text(table.read_text() + "4,,,,,,,drop,\n")
    content = table.read_bytes()
    write_review(tmp_path, given, IMAGES.__getitem__, lines.append)
    assert table.read_bytes() == content
    assert len(lines) == changed
