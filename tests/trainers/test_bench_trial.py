from typer import Typer
from typer.testing import CliRunner

from tests.trainers.conftest import tiny_cnn
from tests.trainers.test_trial import FOUND
from trainers import bench_trial
from trainers.runs import Run


def test_estimate_and_run_side_by_side(dataset, monkeypatch):
    asked = []

    def really(run, path):
        asked.append((run.recipe.whole.epochs, path))
        return 40.0, 800.0

    monkeypatch.setattr(bench_trial, "trial", lambda run, dataset: FOUND)
    monkeypatch.setattr(bench_trial, "really", really)
    app = Typer()
    app.command()(bench_trial.table)
    command = [str(dataset.path), "custom-cnn", "--preset", "demo", "--set", "whole.epochs=6"]
    printed = CliRunner().invoke(app, command).stdout
    assert asked == [(6, dataset.path)]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    assert ["seconds", "36", "40", "0.90"] in rows
    assert ["memory, MB", "1000", "800", "1.25"] in rows


def test_what_a_run_really_takes_is_measured_on_a_whole_one(tmp_path, dataset):
    run = Run(tmp_path, "custom-cnn", "demo", tiny_cnn(), 0, "", 0, dataset.fingerprint)
    seconds, peak_mb = bench_trial.really(run, dataset.path)
    assert (run.folder / "DONE").is_file()
    assert 0.5 < seconds < 200
    assert 200 < peak_mb < 20_000
