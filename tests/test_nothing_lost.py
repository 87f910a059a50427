"""A training that is killed goes on: by its commands, with kill -9 and with a full disk."""

import csv
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bcsub.app import app
from cells.policy import Dose, Policy

ROOT = Path(__file__).parents[1]
COMPETITION = """
name = "four"
title = "Four kinds of cells, 32 px"
classes = ["a", "b", "c", "d"]
image_px = 32
"""
DOSES = [name for name, field in Policy.model_fields.items() if field.annotation is Dose]
# shuffling, flips, dropout and stochastic depth, a moving average, a plateau, early stopping
SETTINGS = (
    "whole.epochs=5",
    "whole.schedule=plateau",
    "whole.plateau_patience=1",
    "whole.patience=4",
    "dropout=.3",
    "drop_path=.2",
    "batch=8",
    "widths=8,12",
    "depths=0,1",
    *(f"policy.{name}.rate=0" for name in DOSES),
)
NUMBERS = (
    "epoch",
    "learning_rate",
    "loss",
    *(f"inner_{part}_{what}" for part in ("clean", "shifted") for what in ("loss", "accuracy")),
)


def command(root: Path) -> list[str]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    at = ["--preset", "demo", "--root", str(root), "--json"]
    return [sys.executable, "-m", "bcsub", "train", "custom-cnn", *settings, *at]


def start(root: Path, **options) -> subprocess.Popen:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command(root), cwd=ROOT, **{**silent, **options})


def finished(root: Path) -> dict:
    made = subprocess.run(command(root), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["members"][0]


def history(root: Path) -> list[dict]:
    paths = list(root.glob("runs/*/fold-0/history.csv"))
    return list(csv.DictReader(paths[0].read_text().splitlines())) if paths else []


def killed(root: Path, epochs: int) -> None:
    """Start a training and kill it, beyond appeal, while it is past so many epochs."""
    process = start(root)
    while len(history(root)) < epochs:
        assert process.poll() is None, "expected a training that is still running"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(root.glob("runs/*/fold-0/DONE"))


def out_of_room(root: Path) -> None:
    """Go on with room for half a checkpoint: one line, and nothing is lost of what was there."""
    (checkpoint,) = root.glob("runs/*/fold-0/checkpoint.h5")
    before, names = checkpoint.read_bytes(), set(checkpoint.parent.iterdir())

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, len(before) // 2))

    made = subprocess.run(
        command(root), cwd=ROOT, capture_output=True, text=True, preexec_fn=little_room
    )
    assert made.returncode == 1
    assert json.loads(made.stdout)["error"].startswith("writing: File too large. Raise the limit")
    assert checkpoint.read_bytes() == before
    assert set(checkpoint.parent.iterdir()) == names


def prepared(root: Path) -> Path:
    (root / "four.toml").parent.mkdir()
    (root / "four.toml").write_text(COMPETITION)
    archive, four = str(root / "t.npz"), ("--competition", str(root / "four.toml"))
    for words in (["draw", archive], ["prepare", archive, "--folds", "4", "--root", str(root)]):
        cells = ("--cells", "200") if words[0] == "draw" else ()
        result = CliRunner().invoke(app, [*words, *cells, *four])
        assert result.exit_code == 0, result.output
    return root


def test_killed_twice_and_out_of_room_once_the_history_is_the_uninterrupted_ones(
    tmp_path: Path,
) -> None:
    undisturbed, root = prepared(tmp_path / "undisturbed"), prepared(tmp_path / "disturbed")
    expected = finished(undisturbed)
    killed(root, 1)
    out_of_room(root)
    killed(root, 3)
    found = finished(root)
    rows = history(root)
    assert len(rows) == found["epochs"] == expected["epochs"]
    for row, other in zip(rows, history(undisturbed), strict=True):
        assert row["phase"] == other["phase"]
        for name in NUMBERS:
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-5, abs=1e-5), name
    for part in ("clean_accuracy", "shifted_accuracy"):
        assert found[part] == pytest.approx(expected[part], abs=1e-9)
