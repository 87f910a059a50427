"""`bcsub draw` and `bcsub prepare` as a user runs them."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import bcsub
from bcsub.app import app
from cells.dataset import open_dataset
from cells.errors import BackendError

REPOSITORY = Path(bcsub.__file__).parents[1]
FIVE = """
name = "five"
title = "Five kinds, 64 px"
classes = ["a", "b", "c", "d", "e"]
image_px = 64
"""
TWO = """
name = "two"
title = "Two kinds, 64 px"
classes = ["a", "b"]
image_px = 64
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bcsub", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)


def show(*arguments: object):
    # Wide, so that help is not wrapped in the middle of what is looked for
    return CliRunner(env={"COLUMNS": "2000"}).invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A folder with five.toml and the archive t.npz that `bcsub draw` made for it."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "five.toml").write_text(FIVE)
    result = run(
        "draw", folder / "t.npz", "--cells", 150, "--competition", folder / "five.toml", "--json"
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "archive": str(folder / "t.npz"),
        "rows": 217,
        "cells": 150,
        "copies": 2,
        "jokes": 65,
    }
    assert "drawing 150 cells" in result.stderr
    return folder


def test_json_is_one_object_with_the_fixed_fields_and_again_the_same(drawn, tmp_path):
    command = ["prepare", drawn / "t.npz", "--competition", drawn / "five.toml", "--folds", 3]
    first = run(*command, "--root", tmp_path, "--json")
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    assert (result["rows"], result["kept"]) == (217, 150)
    assert result["dropped"] == {"copy": 2, "joke": 65, "outlier": 0, "manual": 0}
    assert isinstance(result["seconds"], float)
    assert "looking for copies and jokes among 217 rows" in first.stderr
    assert (tmp_path / "work" / "dataset.h5").is_file()
    assert {path.name for path in (tmp_path / "work" / "prepare").iterdir()} == {
        "classes.png",
        "doubtful.png",
        "dropped.png",
        "review.csv",
        "review.html",
        "shifted.png",
        "summary.json",
    }

    again = run(*command, "--root", tmp_path, "--json")
    assert again.stdout == first.stdout
    assert "already prepared" in again.stderr

    shown = CliRunner().invoke(app, [*map(str, command), "--root", str(tmp_path)])
    assert shown.exit_code == 0
    assert "150 of 217 rows stay" in shown.stdout
    assert "jokes, dropped" in shown.stdout
    assert "by your decision" not in shown.stdout


def test_a_filled_table_overrules_and_the_answer_says_so(drawn, tmp_path, capfd):
    command = ["prepare", drawn / "t.npz", "--competition", drawn / "five.toml", "--folds", 3]
    command = [*map(str, command), "--root", str(tmp_path)]
    assert CliRunner().invoke(app, command).exit_code == 0
    before = open_dataset(tmp_path / "work" / "dataset.h5")
    wrong = np.flatnonzero((before.dropped == 0) & (before.labels == 0))[:8]
    wrong = wrong[wrong != 7]
    table = tmp_path / "work" / "prepare" / "review.csv"
    with table.open("a") as file:
        file.write("7,,,,,,,drop,\n")
        file.writelines(f"{row},,,,,,,b,\n" for row in wrong)
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0
    assert "149 of 217 rows stay" in shown.stdout
    assert re.search(r"by your decision: dropped +│ +1 ", shown.stdout)
    assert re.search(r"since the dataset before: go now +│ +1 ", shown.stdout)
    assert re.search(r"  row 7 ", shown.stdout)
    assert re.search(rf"by your decision: another label +│ +{len(wrong)} ", shown.stdout)

    # What a network learns from is what was decided.
    from trainers.recipe import Phase, Recipe
    from trainers.train import training_data

    dataset = open_dataset(tmp_path / "work" / "dataset.h5")
    data = training_data(dataset, 0, Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1)), 0)
    images = {image.tobytes() for image in dataset.images(wrong)}
    learned = [image.tobytes() in images for image in data.images]
    assert any(learned)
    assert set(data.labels[learned].tolist()) == {1}
    assert dataset.images(np.array([7])).tobytes() not in {x.tobytes() for x in data.images}

    with table.open("a") as file:
        file.write("8,,,,,,,f,\n")
    wrong = CliRunner().invoke(app, [*command, "--json"])
    assert wrong.exit_code == 1
    assert "a class (a, b, c, d, e) or its number, 0 to 4, got 'f'" in capfd.readouterr().out


def test_it_advises_the_options_that_were_used_and_warns_before_deep_is_undone(tmp_path):
    (tmp_path / "two.toml").write_text(TWO)
    same = ["--competition", tmp_path / "two.toml"]
    assert show("draw", tmp_path / "t.npz", "--cells", 60, *same).exit_code == 0
    command = ["prepare", tmp_path / "t.npz", *same, "--root", tmp_path]
    shown = show(*command, "--deep", "--seed", 3, "--shares", "60/20/20", "--upscale")
    assert shown.exit_code == 0
    assert "warning" not in shown.stderr
    assert "(1 fold;" in shown.stdout
    advised = (
        f"bcsub prepare {tmp_path}/t.npz --competition {tmp_path}/two.toml --shares 60/20/20 "
        f"--seed 3 --upscale --deep --root {tmp_path}"
    )
    page = tmp_path / "work" / "prepare" / "review.html"
    assert f"<code>{advised}</code>" in page.read_text()
    assert "already prepared" in show(*shlex.split(advised)[1:]).stderr

    warnings = [line for line in show(*command).stderr.splitlines() if "warning" in line]
    assert warnings == [
        "warning: the dataset before was cleaned with --deep, this one is not: what only that "
        f"finds comes back, and members may go out of date. As before: {advised}"
    ]
    assert "--deep" not in page.read_text()
    assert "warning" not in show(*command, "--seed", 4).stderr


def test_help_promises_of_deep_only_what_needs_it():
    text = " ".join(show("prepare", "--help").stdout.split())
    assert "Drops exact copies and joke pictures, and with --deep also jokes blended over" in text


def test_tensorflow_comes_quietly_and_first_with_deep_only(tmp_path, monkeypatch):
    (tmp_path / "two.toml").write_text(TWO)
    same = ["--competition", tmp_path / "two.toml"]
    assert show("draw", tmp_path / "t.npz", "--cells", 60, *same).exit_code == 0
    command = ["prepare", tmp_path / "t.npz", *same, "--root", tmp_path]

    def import_tensorflow():
        raise BackendError("KERAS_BACKEND: none here.")

    monkeypatch.setattr("bcsub.prepare.import_tensorflow", import_tensorflow)
    assert show(*command).exit_code == 0
    shown = show(*command, "--deep", "--force")
    assert shown.exit_code == 1
    assert shown.stderr == "error KERAS_BACKEND: none here.\n"  # before any step is told


def test_without_deep_no_tensorflow_is_loaded(tmp_path):
    (tmp_path / "two.toml").write_text(TWO)
    same = ["--competition", str(tmp_path / "two.toml")]
    assert show("draw", tmp_path / "t.npz", "--cells", 60, *same).exit_code == 0
    arguments = ["prepare", str(tmp_path / "t.npz"), *same, "--root", str(tmp_path)]
    code = (
        "import sys\nfrom bcsub.app import app\n"
        f"try: app({arguments})\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work" / "dataset.h5").is_file()


def test_shares_and_folds_are_not_both_taken(drawn, tmp_path):
    command = ["prepare", drawn / "t.npz", "--competition", drawn / "five.toml", "--root", tmp_path]
    shown = show(*command, "--shares", "60/36/4", "--folds", 8)
    assert shown.exit_code == 1
    assert shown.stderr == (
        "error --shares: divides in place of folds, got --folds 8 too. Leave one of them out.\n"
    )
    assert not (tmp_path / "work").exists()


def test_a_fault_is_one_line_and_exit_1(tmp_path):
    archive = tmp_path / "t.npz"
    archive.write_text("not an archive")
    expected = "t.npz: expected an npz file, got another kind of file. Write it with numpy.savez."
    plain = run("prepare", archive, "--root", tmp_path)
    assert plain.returncode == 1
    assert plain.stdout == ""
    assert plain.stderr.splitlines()[-1] == f"error {expected}"
    as_json = run("prepare", archive, "--root", tmp_path, "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout) == {"error": expected}
    assert not (tmp_path / "work").exists()


def test_draw_never_replaces_a_file_unasked(drawn, tmp_path):
    target = tmp_path / "t.npz"
    target.write_text("mine")
    arguments = ["draw", str(target), "--cells", "100", "--competition", str(drawn / "five.toml")]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert target.read_text() == "mine"
    replaced = CliRunner().invoke(app, [*arguments, "--force"])
    assert replaced.exit_code == 0
    assert "167 rows, 100 cells, 2 copies, 65 jokes" in replaced.stdout
    assert target.stat().st_size > 100_000


def test_an_unknown_competition(tmp_path):
    result = run("draw", tmp_path / "t.npz", "--competition", "an2dl1999", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"].startswith("--competition: expected one of an2dl2023")
