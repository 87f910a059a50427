from pathlib import Path

import numpy as np
import pytest

from cells.dataset import COPY, JOKE, KEPT, MANUAL, OUTLIER
from cells.decisions import archive_name, read_decisions
from cells.errors import ReviewError

CLASSES = ("round", "lobed", "flat")
SHA, OTHER = "a" * 64, "b" * 64
OURS, THEIRS = archive_name(SHA), archive_name(OTHER)
HEADER = "row,label,class,reason,score,why,suggested,decision,archive"


def line(row, decision, archive=OURS, label=""):
    return f"{row},{label},,,,,,{decision},{archive}"


def write(folder: Path, *lines: str, name: str = "review.csv") -> Path:
    path = folder / name
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def read(folder: Path):
    return read_decisions(folder, SHA, CLASSES)


def fault(folder: Path) -> str:
    with pytest.raises(ReviewError) as error:
        read(folder)
    return str(error.value).removeprefix(f"{folder / 'review.csv'}, ")


def test_each_word_does_what_it_says(tmp_path):
    write(tmp_path, *map(line, range(7), ["keep", "drop", "", "Lobed", "2", " keep ", "DROP"]))
    dropped = np.array([JOKE, KEPT, COPY, KEPT, OUTLIER, KEPT, COPY], np.uint8)
    labels = np.array([0, 0, 0, 0, 0, 1, 1])
    stays, under = read(tmp_path).apply(dropped, labels)
    assert stays.tolist() == [KEPT, MANUAL, COPY, KEPT, KEPT, KEPT, MANUAL]
    assert under.tolist() == [0, 0, 0, 1, 2, 1, 1]
    assert dropped[0] == JOKE  # the caller's own are left alone
    assert labels[3] == 0


def test_no_table_no_decisions(tmp_path):
    assert read(tmp_path).by_row == {}
    (tmp_path / "review.csv").write_bytes(b"")
    assert read(tmp_path).by_row == {}


def test_a_class_goes_before_a_number_and_exact_case_before_any(tmp_path):
    write(tmp_path, line(0, "1"), line(1, "B"), line(2, "b"))
    found = read_decisions(tmp_path, SHA, ("b", "B", "1"))
    assert [found.by_row[row].label for row in range(3)] == [2, 1, 0]


def test_the_key_forgets_order_and_wording_and_nothing_else(tmp_path):
    write(tmp_path, line(7, "lobed"), line(2, "drop"), line(3, ""))
    key = read(tmp_path).key()
    write(tmp_path, line(2, "DROP", archive=""), line(7, "1"))
    assert read(tmp_path).key() == key
    for other in (line(7, "2"), line(7, "keep"), line(7, "drop"), line(8, "1"), line(7, "")):
        write(tmp_path, line(2, "drop"), other)
        assert read(tmp_path).key() != key


def test_what_a_spreadsheet_adds_is_no_fault(tmp_path):
    text = f"\ufeffRow, Decision ,archive,mine\r\n4,keep,{OURS},look\r\n,,,\r\n\r\n"
    (tmp_path / "review.csv").write_bytes(text.encode())
    found = read(tmp_path)
    assert [(row, each.text) for row, each in found.by_row.items()] == [(4, "keep")]
    assert found.note_columns == ("mine",)
    assert found.notes == {4: ("look",)}


def test_the_same_row_twice(tmp_path):
    write(tmp_path, line(4, "lobed"), line(4, ""), line(4, "1"))
    assert read(tmp_path).by_row[4].label == 1
    write(tmp_path, line(4, "keep"), line(4, ""), line(4, "drop"))
    assert fault(tmp_path) == (
        "line 4: row 4: expected one decision, got drop here and keep in line 2. "
        "Remove one of them."
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [line(3, "keep"), line(4, "basofil")],
            "line 3: decision: expected keep, drop, a class (round, lobed, flat) or its number, "
            "0 to 2, got 'basofil'. Correct the cell, or empty it.",
        ),
        (
            [line(4, "3")],
            "line 2: decision: expected keep, drop, a class (round, lobed, flat) or its number, "
            "0 to 2, got '3'. Correct the cell, or empty it.",
        ),
        (
            [line("four", "keep")],
            "line 2: row: expected a row number of the archive, got 'four'. "
            "Correct or remove the line.",
        ),
        (
            [line(-1, "keep")],
            "line 2: row: expected a row number of the archive, got '-1'. "
            "Correct or remove the line.",
        ),
        (
            [line(3, "keep"), "4,keep"],
            "line 3: expected 9 cells, one a column, got 2. Write the empty ones too.",
        ),
        (
            [line(3, "keep"), line(4, "keep", THEIRS)],
            f"line 3: archive: expected {OURS} as in the lines above, got {THEIRS}. "
            "Keep the lines of one archive, or leave the cell empty.",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path, lines, expected):
    write(tmp_path, *lines)
    assert fault(tmp_path) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            b"row;decision;archive\n3;keep;\n",
            "line 1: expected columns separated by commas, got semicolons. "
            'Save it as "CSV UTF-8", separated by commas.',
        ),
        (
            b"row\tdecision\tarchive\n3\tkeep\t\n",
            "line 1: expected columns separated by commas, got tabs. "
            'Save it as "CSV UTF-8", separated by commas.',
        ),
        (
            b"row,archive\n3,\n",
            "line 1: expected the columns row, decision, archive, got none called decision. "
            "Put them back; `bcsub prepare` writes the others anew.",
        ),
        (
            b"row,decision,archive,note\n3,keep,,\n4,drop,,caf\xe9\n",
            "line 3: expected UTF-8 text, got byte 0xe9. "
            'Save it as "CSV UTF-8", separated by commas.',
        ),
        (
            "row,decision,archive\n3,keep,\n".encode("utf-16"),
            "line 1: expected UTF-8 text, got byte 0xff. "
            'Save it as "CSV UTF-8", separated by commas.',
        ),
    ],
)
def test_another_kind_of_file_is_one_line(tmp_path, content, expected):
    (tmp_path / "review.csv").write_bytes(content)
    assert fault(tmp_path) == expected


def test_a_row_that_the_archive_lacks(tmp_path):
    path = write(tmp_path, line(2, "keep"), line(3, "drop"))
    with pytest.raises(ReviewError) as error:
        read(tmp_path).check(np.zeros(3, int))
    assert str(error.value) == (
        f"{path}, line 3: row: expected 0 to 2, got 3. Correct or remove the line."
    )


def test_a_label_written_into_the_wrong_column(tmp_path):
    path = write(tmp_path, line(0, "", label="0"), line(1, "", label="2"))
    with pytest.raises(ReviewError) as error:
        read(tmp_path).check(np.array([0, 1]))
    assert str(error.value) == (
        f"{path}, line 3: label: expected the archive's, 1, got 2. "
        "Write another label into the column decision."
    )


def test_another_archives_decisions_are_put_aside_and_come_back(tmp_path):
    theirs = write(tmp_path, line(1, "drop", THEIRS), line(2, "squashed", THEIRS))
    content, lines = theirs.read_bytes(), []
    ours = read(tmp_path)
    assert ours.by_row == {}  # nor is "squashed", no class of ours, a fault
    assert theirs.read_bytes() == content  # nothing moves before something is written
    assert ours.make_room(tmp_path, "bcsub prepare t.npz --deep", lines.append)
    aside = tmp_path / f"review.{'b' * 12}.csv"
    assert not theirs.exists()
    assert aside.read_bytes() == content
    assert lines == [f"{theirs}: decisions about another archive. Kept as {aside.name}"]

    write(tmp_path, line(5, "keep"))
    back = read_decisions(tmp_path, OTHER, ("squashed", "b"))
    assert sorted(back.by_row) == [1, 2]
    assert back.make_room(tmp_path, "bcsub prepare t.npz --deep", lines.append)
    assert lines[1:] == [
        f"{theirs}: decisions about another archive. Kept as review.{'a' * 12}.csv",
        f"{aside}: decisions about this archive. Taken back into review.csv",
    ]
    assert theirs.read_bytes() == content
    assert not aside.exists()


def test_a_table_put_aside_is_never_overwritten(tmp_path):
    write(tmp_path, line(1, "drop", THEIRS), name=f"review.{'b' * 12}.csv")
    write(tmp_path, line(2, "drop", THEIRS))
    assert read(tmp_path).make_room(tmp_path, "bcsub prepare t.npz --deep", lambda line: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"review.{'b' * 12}-2.csv",
        f"review.{'b' * 12}.csv",
    ]


def test_another_archives_table_without_a_decision_makes_no_backup(tmp_path):
    table = write(tmp_path, line(1, "", THEIRS))
    assert read(tmp_path).make_room(tmp_path, "bcsub prepare t.npz --deep", pytest.fail)
    assert list(tmp_path.iterdir()) == [table]


def test_a_table_saved_meanwhile_is_not_overwritten(tmp_path):
    table, lines = write(tmp_path, line(1, "keep")), []
    found = read(tmp_path)
    write(tmp_path, line(1, "drop"))
    assert not found.make_room(tmp_path, "bcsub prepare t.npz --deep", lines.append)
    assert lines == [
        f"{table}: changed meanwhile, left as it is. Run `bcsub prepare t.npz --deep` again."
    ]
