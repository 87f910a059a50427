"""The table of `bcsub train --dry-run`."""

import io

import pytest
from rich.console import Console

from bcsub.planned import show_plan

ROW = {
    "run": "convnext-small-full-0123abcd-word",
    "fold": 0,
    "state": "begun",
    "next_epoch": 12,
    "images": 42000,
    "batch": 128,
    "steps": 328,
    "epochs": {"head": 8, "whole": 30},
    "minutes": 1234.5,
    "memory_mb": 13.4 * 1024,
    "precision": "float32",
    "device": "CPU",
    "weights": "none",
    "differences": {},
}


def shown(**fields) -> list[list[str]]:
    """The words of each line, in a window of 80 columns; no line is longer."""
    console = Console(file=io.StringIO(), width=80)
    show_plan(console, {"runs": [{**ROW, **fields}], "asks_for_yes": False})
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return [line.split() for line in lines]


def test_80_columns_hold_every_figure_and_the_run_in_full():
    _, titles, row, *more, how = shown()
    assert titles == [
        *("run", "fold", "state", "images", "batch", "steps", "epochs", "min", "GB"),
    ]
    figures = ["0", "from", "epoch", "12", "42000", "128", "328", "8", "+", "30", "1234", "13.4"]
    assert row[1:] == figures
    assert "".join([row[0], *(word for line in more for word in line)]) == ROW["run"]
    assert how[0] == f"{ROW['run']}:"


@pytest.mark.parametrize(
    ("minutes", "memory_mb", "words"),
    [(0.2, 512, ["<", "1", "0.5"]), (1.0, 512, ["1", "0.5"]), (None, None, ["30"])],
)
def test_length_and_memory_as_far_as_they_are_known(minutes, memory_mb, words):
    row = shown(run="short", state="new", minutes=minutes, memory_mb=memory_mb)[2]
    assert row[:3] == ["short", "0", "new"]
    assert row[-len(words) :] == words
