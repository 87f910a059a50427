"""`bcsub ensemble` as a user runs it, on three small runs that a trainer might have left."""

import io
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

import bcsub.console
from bcsub.ensemble import ensemble
from cells.competition import Competition
from cells.dataset import write_dataset
from submission.model import RUNTIME_VERSION, VIEWS

ROWS = 40
LABELS = np.arange(ROWS) // 2 % 2
TEST = np.arange(ROWS) >= 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One fold holds out all 30 train rows; a-cpu knows the even rows, b-cpu the odd ones."""
    write_dataset(
        tmp_path / "work" / "dataset.h5",
        Competition(name="tiny", title="Tiny", classes=("a", "b"), image_px=16),
        "data",
        1,
        ("blur",),
        np.zeros((ROWS, 16, 16, 3), np.uint8),
        np.zeros((ROWS, 16, 16, 3), np.uint8),
        {
            "labels": LABELS,
            "group": np.arange(ROWS),
            "part": TEST.astype(np.int8),
            "fold": np.where(TEST, -1, 0),
            **{key: np.zeros(ROWS, np.uint8) for key in ("dropped", "shift_family")},
            "shift_severity": np.ones(ROWS, np.uint8),
        },
    )
    _write_run(tmp_path, "a-cpu", np.where(np.arange(ROWS) % 2 == 0, 0.9, 0.4))
    _write_run(tmp_path, "b-cpu", np.where(np.arange(ROWS) % 2 == 1, 0.9, 0.4))
    _write_run(tmp_path, "c-demo", np.full(ROWS, 0.3))
    return tmp_path


def _write_run(root: Path, run: str, p: np.ndarray) -> None:
    """p: (rows,) probability of the label."""
    folder = root / "runs" / run / "fold-0"
    folder.mkdir(parents=True)
    name, preset = run.split("-")
    about = {"run": run, "name": name, "preset": preset, "fold": 0, "data_fingerprint": "data"}
    for file_name in ("recipe.json", "DONE"):
        (folder / file_name).write_text(json.dumps(about))
    shared = {"classes": '["a", "b"]', "member_fingerprint": run, "format": 1, **about}
    with h5py.File(folder / "member.h5", "w") as file:
        file.attrs.update(kind="member", image_px=16, **shared)
        file["program"], file["arrays/kernel"] = '{"ops": []}', np.zeros(3)
    probs = np.where(LABELS[:, None] == np.arange(2), p[:, None], 1 - p[:, None])
    probs = np.repeat(probs[:, None], len(VIEWS), axis=1).astype(np.float32)
    with h5py.File(folder / "predictions.h5", "w") as file:
        file.attrs.update(kind="predictions", views=json.dumps(list(VIEWS)))
        file.attrs.update(runtime_version=RUNTIME_VERSION)
        file.attrs.update(shared)
        for prefix, rows in (("", ~TEST), ("test_", TEST)):
            file[f"{prefix}rows"] = np.flatnonzero(rows)
            file[f"{prefix}clean"] = file[f"{prefix}shifted"] = probs[rows]


def run(*arguments: object):
    """In this process, for speed: exit code and output."""
    app = typer.Typer()
    app.command()(ensemble)
    return CliRunner().invoke(app, [str(each) for each in arguments])


def written(root: Path) -> dict:
    return json.loads((root / "runs" / "ensemble" / "ensemble.json").read_text())


def test_json_is_one_object_with_the_promised_fields(root):
    script = "import typer; from bcsub.ensemble import ensemble; typer.run(ensemble)"
    command = [sys.executable, "-c", script, "--root", str(root), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(result.stdout)
    assert found == written(root)
    assert found["members"] == ["a-cpu", "b-cpu"]
    assert found["weights"] == {"a-cpu": 0.5, "b-cpu": 0.5}
    assert found["views"] == ["identity"]
    assert (found["clean_accuracy"], found["shifted_accuracy"]) == (1.0, 1.0)
    assert Path(found["bundle"]).is_file()


def test_the_table_marks_what_is_shipped_and_says_what_is_next(root):
    result = run("a", "b", "--root", root, "--weights", "uniform", "--views", "all")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    (shipped,) = [line.split() for line in lines if "▶" in line]
    assert shipped[:5] == ["▶", "uniform", "all", "16", "1.0000"]
    assert "shipped  uniform, 8 views: asked for." in lines
    assert "weight   0.5000  a-cpu" in lines
    assert f"next: bcsub pack --root {root}" in lines
    assert "`bcsub review` lists the labels that these members doubt" in lines


def test_preset_and_out(root):
    out = root / "elsewhere"
    result = run("--root", root, "--preset", "demo", "--out", out)
    assert result.exit_code == 0, result.output
    found = written(root)
    assert found["weights"] == {"c-demo": 1.0}
    assert found["bundle"] == str(out / "weights.h5")
    assert found["next"][0] == f"bcsub pack {out} --root {root}"
    assert (out / "model.py").is_file()


def test_a_deadline_is_shown_with_the_passes_that_come_first(root):
    dataset = root / "work" / "dataset.h5"
    with h5py.File(dataset, "a") as file:
        competition = json.loads(file.attrs["competition"])
        competition["platform"]["deadline_s"] = 90
        file.attrs["competition"] = json.dumps(competition)
    result = run("a", "b", "--root", root, "--weights", "uniform", "--views", "none")
    assert result.exit_code == 0, result.output
    (line,) = [each for each in result.output.splitlines() if each.startswith("deadline")]
    assert line == (
        "deadline 90 s; first of the passes: a-cpu/fold-0 identity, b-cpu/fold-0 identity"
    )
    assert written(root)["deadline_s"] == 90


def test_stale_predictions_are_made_by_the_trainers_own_function(root, monkeypatch):
    import trainers.predict

    folder, asked = root / "runs" / "c-demo" / "fold-0", []
    content = (folder / "predictions.h5").read_bytes()
    (folder / "predictions.h5").unlink()

    def predict_run(folder, dataset, report):
        asked.append((folder, dataset.fingerprint))
        (folder / "predictions.h5").write_bytes(content)

    monkeypatch.setattr(trainers.predict, "predict_run", predict_run)
    result = run("c", "--root", root)
    assert result.exit_code == 0, result.output
    assert asked == [(folder, "data")]


def test_errors_are_one_line_and_exit_1(root, monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(bcsub.console, "progress", Console(file=said))
    assert run("nope", "--root", root).exit_code == 1
    assert said.getvalue() == (
        "error nope: expected a finished run or a member's name, got neither; "
        f"finished in {root}/runs: a-cpu, b-cpu, c-demo.\n"
    )
