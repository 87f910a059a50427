"""`bcsub review` as a user runs it, with the dataset and runs of tests/ensemble."""

import io
import json
from dataclasses import asdict

from rich.console import Console
from typer.testing import CliRunner

import bcsub.console
from bcsub.app import app
from cells.asked import Asked
from tests.ensemble.conftest import root  # noqa: F401
from tests.ensemble.test_doubts import contradict, prepared  # noqa: F401


def run(*arguments: object):
    return CliRunner().invoke(app, ["review", *map(str, arguments)])


def test_what_is_in_doubt_is_printed_and_json_has_all(prepared, capfd):  # noqa: F811
    prepared.run("cnn-cpu", 0, probs=contradict([3, 10]))
    summary = prepared.path / "work" / "prepare" / "summary.json"
    noted = {"asked": asdict(Asked("t.npz", deep=True))}
    summary.write_text(json.dumps(json.loads(summary.read_text()) | noted))
    shown = run("--root", prepared.path)
    assert shown.exit_code == 0, shown.output
    assert "2 labels in doubt" in shown.output
    assert "looked at 48 of 120 rows: those held out by cnn-cpu (accuracy 0.96)\n" in shown.output
    assert f"look at {prepared.path}/work/prepare/review.html" in shown.output
    assert f"then: bcsub prepare t.npz --deep --root {prepared.path}\n" in shown.output
    page = (prepared.path / "work" / "prepare" / "review.html").read_text()
    assert f"<code>bcsub prepare t.npz --deep --root {prepared.path}</code>" in page

    capfd.readouterr()
    assert run("cnn", "--root", prepared.path, "--json").exit_code == 0
    result = json.loads(capfd.readouterr().out)
    assert [each["row"] for each in result["doubted"]] == [6, 20]
    assert list(result) == [
        *("members", "accuracies", "warning", "looked_at", "kept", "doubted", "review", "table"),
        "command",
    ]


def test_without_members_it_says_what_comes_first(prepared, monkeypatch):  # noqa: F811
    said = io.StringIO()
    monkeypatch.setattr(bcsub.console, "progress", Console(file=said))
    assert run("--root", prepared.path).exit_code == 1
    assert said.getvalue().endswith("got none. Run `bcsub train NAME` first.\n")
