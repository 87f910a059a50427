"""`bcsub fetch` and what `bcsub prepare` makes of it, as a user runs them."""

import csv
import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import bcsub.fetch
from bcsub.app import app, run
from cells.drawn_cells import draw_cells
from cells.sources import SOURCES

FIVE = """
name = "five"
title = "Five kinds, 32 px"
classes = ["a", "b", "c", "d", "e"]
image_px = 32
[archive]
resize = "bicubic"
"""
ROWS = {"train": 100, "val": 10, "test": 20}


def show(*arguments: object):
    # Wide, so that help is not wrapped in the middle of what is looked for
    return CliRunner(env={"COLUMNS": "2000"}).invoke(app, [str(each) for each in arguments])


@pytest.fixture
def call(capfd):
    """Run a command with --json: its exit code, its answer, its lines of progress."""

    def work(*arguments: object) -> tuple[int, dict, str]:
        code = run([*map(str, arguments), "--json"])
        out, progress = capfd.readouterr()
        return code, json.loads(out), progress

    return work


def drawn(px: int) -> dict[str, np.ndarray]:
    arrays = {}
    for seed, (split, rows) in enumerate(ROWS.items()):
        labels = np.arange(rows) % 5
        arrays[f"{split}_images"] = draw_cells(labels, px, np.random.default_rng(seed))
        arrays[f"{split}_labels"] = labels.astype(np.uint8)[:, None]
    return arrays


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder in which the published npz lies already, put there by hand; and five.toml."""
    (tmp_path / "five.toml").write_text(FIVE)
    path = tmp_path / "data" / "published" / "b.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **drawn(40))
    blood = SOURCES["bloodmnist"]
    there = replace(
        blood.downloads[64],
        filename="b.npz",
        url="http://127.0.0.1:9/b.npz",
        checksum=f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}",
    )
    monkeypatch.setitem(SOURCES, "bloodmnist", replace(blood, images=ROWS, downloads={64: there}))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def test_licence_and_citation_are_printed(data):
    shown = show("fetch", "bloodmnist", "--px", 64, "--out", data / "data")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines() == [
        f"100 images (train): {data / 'data' / 'b_train.npz'}",
        "licence CC BY 4.0, https://zenodo.org/records/10519652; whoever publishes with them "
        "cites:",
        *(f"  {each}" for each in SOURCES["bloodmnist"].citation),
        f"next: bcsub prepare {data / 'data' / 'b_train.npz'}",
    ]


def test_what_comes_next_takes_the_same_splits(data):
    shown = show("fetch", "bloodmnist", "--px", 64, "--out", data / "data", "--splits", "test")
    (path,) = (data / "data").glob("*_test.npz")
    assert shown.stdout.splitlines()[-1] == f"next: bcsub prepare {path} --splits test"


def test_fetched_and_prepared(data, call):
    code, result, _ = call("fetch", "bloodmnist", "--px", 64, "--out", data / "data")
    assert (code, result["images"], result["splits"]) == (0, 100, ["train"])
    command = ["prepare", result["path"], "--competition", data / "five.toml", "--root", data]
    code, summary, progress = call(*command, "--folds", 3)
    assert code == 0
    assert "made 32 px (bicubic): 100 of 40x40" in progress
    assert (summary["rows"], summary["splits"], summary["warning"]) == (100, ["train"], None)
    with (data / "work" / "prepare" / "rows.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 100
    assert table[7] == {"row": "7", "label": "2", "class": "c", "source": "train/7"}


def test_other_splits_become_rows_only_with_a_warning_on_record(data, call):
    command = ["prepare", data / "data" / "published" / "b.npz", "--root", data]
    command += ["--competition", data / "five.toml", "--folds", 3]
    _, plain, _ = call(*command)
    assert plain["rows"] == 100
    _, summary, progress = call(*command, "--splits", "train,test")
    assert (summary["rows"], summary["splits"]) == (120, ["train", "test"])
    assert summary["warning"].startswith("b.npz: with images of test. The platform's hidden images")
    assert summary["fingerprint"] != plain["fingerprint"]
    assert f"warning: {summary['warning']}" in progress
    _, again, progress = call(*command, "--splits", "train,test")
    assert f"warning: {summary['warning']}" in progress
    assert "already prepared" in progress
    assert again == summary


def test_a_folder_is_prepared_and_its_files_are_found_again(data, call):
    images = draw_cells(np.arange(60) % 5, 32, np.random.default_rng(0))
    for number, image in enumerate(images):
        path = data / "cells" / "ABCDE"[number % 5] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    command = ["--competition", data / "five.toml", "--root", data, "--folds", 3]
    _, first, _ = call("prepare", data / "cells", *command)
    assert (first["rows"], first["kept"], first["splits"], first["note"]) == (60, 60, [], None)
    rows = data / "work" / "prepare" / "rows.csv"
    assert rows.read_text().splitlines()[13] == "12,1,b,B/01.png"
    assert "already prepared" in call("prepare", data / "cells", *command)[2]

    (data / "cells" / "B" / "01.png").rename(data / "cells" / "B" / "99.png")
    _, renamed, progress = call("prepare", data / "cells", *command)
    assert "already prepared" not in progress
    assert renamed["fingerprint"] != first["fingerprint"]

    # An input whose row numbers say it all leaves no table of the input before.
    np.savez(data / "t.npz", images=images, labels=np.arange(60) % 5)
    call("prepare", data / "t.npz", *command)
    assert not rows.exists()


@pytest.mark.parametrize("command", ["fetch", "prepare", "emulate"])
def test_help_says_why_only_the_training_split(command):
    shown = " ".join(show(command, "--help").stdout.split())
    assert "--splits" in shown
    assert (
        "The platform's hidden images may be among all but train: who learns from them gets a "
        "local score that means nothing, and most competitions forbid it."
    ) in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pcb", "source: expected one of bloodmnist, pbc, got 'pcb'."),
        ("bloodmnist", "--px: expected one of 64, got 128."),
    ],
)
def test_faults_are_one_line(data, call, name, said):
    assert call("fetch", name, "--out", data / "data")[:2] == (1, {"error": said})


def test_only_splits_that_a_source_has_are_offered(data, call):
    code, result, _ = call("fetch", "pbc", "--splits", "all", "--out", data / "data")
    assert code == 1
    assert result["error"].startswith("--splits: expected some of train, val, test, got 'all'.")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_that_never_was_leaves_no_line(monkeypatch, terminal):
    said = io.StringIO()
    console = Console(file=said, force_terminal=terminal, force_interactive=terminal)
    monkeypatch.setattr(bcsub.fetch, "progress", console)
    with bcsub.fetch._bar():
        pass
    assert said.getvalue() == ""


def test_a_terminal_shows_how_far_a_download_is(monkeypatch):
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, force_interactive=True, width=80)
    monkeypatch.setattr(bcsub.fetch, "progress", console)
    with bcsub.fetch._bar() as show:
        show(3_000_000, 12_000_000)
        console.print("a line")
    assert "3.0/12.0 MB" in said.getvalue()
