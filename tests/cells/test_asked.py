import json
from dataclasses import asdict

import pytest

from cells.asked import Asked, asked_before


def test_only_what_differs_is_said_and_a_shell_takes_it():
    assert Asked().command() == "bcsub prepare ARCHIVE"
    everything = Asked("my cells.npz", "own.toml", None, "60/36/4", 1, "train,val", True, True, "a")
    assert everything.command() == (
        "bcsub prepare 'my cells.npz' --competition own.toml --shares 60/36/4 --seed 1 "
        "--splits train,val --upscale --deep --root a"
    )
    assert Asked("t.npz", folds=4).command() == "bcsub prepare t.npz --folds 4"


def test_what_was_asked_before_is_read_from_where_it_lies_now(tmp_path):
    summary = tmp_path / "work" / "prepare" / "summary.json"
    summary.parent.mkdir(parents=True)
    summary.write_text(json.dumps({"asked": asdict(Asked("t.npz", deep=True, root="elsewhere"))}))
    assert asked_before(tmp_path / "work") == Asked("t.npz", deep=True, root=str(tmp_path))


@pytest.mark.parametrize("text", [None, "{", "{}", '{"asked": {"depth": 3}}', '{"asked": null}'])
def test_what_nobody_noted(tmp_path, text):
    summary = tmp_path / "work" / "prepare" / "summary.json"
    summary.parent.mkdir(parents=True)
    if text is not None:
        summary.write_text(text)
    assert asked_before(tmp_path / "work") == Asked(root=str(tmp_path))
