"""`bcsub members` over folders in every state; nothing is trained."""

import json
import shutil
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner

from bcsub.app import app
from bcsub.listing import list_members
from tests.trainers.conftest import write_colours
from trainers import custom_cnn
from trainers.recipe import overridden, with_preset
from trainers.runs import Run

CPU = with_preset(custom_cnn.RECIPE, custom_cnn.PRESETS, "cpu")


@pytest.fixture
def root(tmp_path) -> Path:
    write_colours(tmp_path)
    return tmp_path


def made(root: Path, fold: int = 0, settings: tuple[str, ...] = (), **changes) -> Run:
    """A run of the cpu preset with its recipe.json, not trained."""
    from cells.dataset import open_dataset

    dataset = open_dataset(root / "work" / "dataset.h5")
    recipe = overridden(CPU, list(settings))
    fields = {"seed": 0, "tag": "", "data_fingerprint": dataset.fingerprint, **changes}
    run = Run(root / "runs", "custom-cnn", "cpu", recipe, fold=fold, **fields)
    run.write_recipe(dataset)
    return run


def finished(run: Run, clean: float = 0.75, shifted: float = 0.5, minutes: float = 2) -> Run:
    with h5py.File(run.folder / "member.h5", "w") as file:
        file.attrs.update(kind="member", format=1, classes='["red", "green", "blue"]', image_px=16)
        file.attrs.update(data_fingerprint=run.data_fingerprint, member_fingerprint="m")
        file["program"] = '{"ops": []}'
    done = {"clean_accuracy": clean, "shifted_accuracy": shifted, "epochs": 27}
    (run.folder / "DONE").write_text(json.dumps({**done, "seconds": 60 * minutes}))
    return run


def stopped(run: Run, epochs: int) -> Run:
    rows = [{"phase": "whole", "epoch": epoch} for epoch in range(1, epochs + 1)]
    with h5py.File(run.folder / "checkpoint.h5", "w") as file:
        file["state"] = json.dumps({"history": rows})
    return run


def command(*arguments: object):
    return CliRunner().invoke(app, ["members", *map(str, arguments)])


def shown(root: Path, *arguments: object) -> list[str]:
    result = command("--root", root, *arguments)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_a_run_is_the_mean_of_its_folds(root):
    finished(made(root, 0), clean=0.75, shifted=0.5, minutes=2)
    run = finished(made(root, 1), clean=0.25, shifted=0.25, minutes=3)
    (listed,) = list_members(root)["members"]
    folds = listed.pop("folds")
    assert listed == {
        "run": run.run,
        "name": "custom-cnn",
        "preset": "cpu",
        "seed": 0,
        "tag": "",
        "state": "finished",
        "clean_accuracy": 0.5,
        "shifted_accuracy": 0.375,
        "epochs": 27,
        "minutes": 5.0,
        "size_mb": listed["size_mb"],
        "differences": {},
        "differences_text": "",
        "gone_fields": [],
        "new_fields": [],
        "not_honest": None,
        "command": None,
    }
    size = (run.folder / "member.h5").stat().st_size / 1e6
    assert listed["size_mb"] == pytest.approx(2 * size, abs=0.01)
    assert [(fold["fold"], fold["state"], fold["clean_accuracy"]) for fold in folds] == [
        (0, "finished", 0.75),
        (1, "finished", 0.25),
    ]


def test_the_table_and_below_it_what_is_not_as_shipped(root):
    plain = finished(made(root), 0.9, 0.8)
    other = finished(made(root, settings=("whole.epochs=40", "policy.hue.rate=.3"), tag="hue"), 0.5)
    lines = shown(root)
    (row,) = (line.split() for line in lines if line.split()[:1] == [plain.run])
    assert row[1:7] == ["0", "finished", "0.9000", "0.8000", "27", "2.0"]
    assert row[-1] == "0"
    assert f"{other.run}: whole.epochs=40, policy.hue.rate=0.3" in lines
    assert not any(line.startswith(f"{plain.run}:") for line in lines)


def test_an_adopted_run_says_what_it_may_have_learnt_from(root):
    run = finished(made(root))
    about = json.loads((run.folder / "recipe.json").read_text())
    del about["recipe"]
    about |= {"preset": "adopted", "held_out": "unknown", "held_out_said": "nobody knows"}
    (run.folder / "recipe.json").write_text(json.dumps(about))
    assert f"{run.run}: not honest: nobody knows" in shown(root)
    about["held_out"] = "unseen"
    (run.folder / "recipe.json").write_text(json.dumps(about))
    assert "not honest" not in "".join(shown(root))


def test_an_unfinished_run_says_where_it_stopped_and_how_it_goes_on(root):
    finished(made(root, 0, ("widths=8,16,32,64",), seed=3, tag="thin"))
    run = stopped(made(root, 1, ("widths=8,16,32,64",), seed=3, tag="thin"), 12)
    (listed,) = list_members(root)["members"]
    assert listed["state"] == "unfinished"
    assert listed["clean_accuracy"] == 0.75  # of the fold that is finished
    assert listed["command"] == (
        "bcsub train custom-cnn --preset cpu --folds 2 --seed 3 --tag thin "
        f"--set widths=8,16,32,64 --root {root}"
    )
    lines = shown(root)
    assert f"{run.run}: fold 1: stopped at epoch 12 of 27: the same command goes on" in lines
    assert lines[-1] == f"{run.run}: {listed['command']}"


def test_a_run_killed_in_its_first_epoch_says_how_many_were_planned(root):
    run = made(root)
    (listed,) = list_members(root)["members"]
    assert (listed["state"], listed["clean_accuracy"]) == ("unfinished", None)
    line = f"{run.run}: fold 0: stopped before epoch 1 of 27 ended: the same command goes on"
    assert line in shown(root)


def test_a_run_killed_in_its_first_epoch_of_two_phases(root):
    run = made(root)
    path = run.folder / "recipe.json"
    about = json.loads(path.read_text())
    about["recipe"] |= {"weights": "imagenet", "head": {"epochs": 8}}
    path.write_text(json.dumps(about))
    (listed,) = list_members(root)["members"]
    assert listed["folds"][0]["detail"] == "stopped before epoch 1 of 8 of phase head ended"


def test_that_command_means_the_very_same_run(root, capfd):
    run = stopped(made(root, 0, ("dropout=.25", "network_px=none"), tag="x"), 1)
    (listed,) = list_members(root)["members"]
    CliRunner().invoke(app, [*listed["command"].split()[1:], "--dry-run", "--no-trial", "--json"])
    (row,) = json.loads(capfd.readouterr().out)["runs"]
    assert (row["run"], row["state"], row["next_epoch"]) == (run.run, "begun", 2)


def test_own_weights_are_asked_for_in_the_command(root):
    stopped(made(root, weights_sha256="ab" * 32), 1)
    (listed,) = list_members(root)["members"]
    assert listed["command"].endswith(f"--weights FILE --root {root}")


def test_a_run_of_another_dataset_is_stale(root):
    run = finished(made(root, data_fingerprint="former"))
    (listed,) = list_members(root)["members"]
    assert listed["state"] == "stale"
    assert f"{run.run}: fold 0: of dataset former, not this one" in shown(root)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("recipe.json", "recipe.json: missing or damaged ("),
        ("DONE", "DONE: damaged ("),
        ("member.h5", "member.h5: missing or damaged ("),
    ],
)
def test_damaged_folders_are_listed_as_such(root, name, text):
    run = finished(made(root))
    (run.folder / name).write_text("{")
    (listed,) = list_members(root)["members"]
    assert (listed["run"], listed["state"]) == (run.run, "damaged")
    assert text in listed["folds"][0]["detail"]
    assert any(text in line for line in shown(root))


def test_a_folder_that_was_only_just_made(root):
    (root / "runs" / "custom-cnn-cpu-12345678" / "fold-0").mkdir(parents=True)
    (listed,) = list_members(root)["members"]
    assert listed["state"] == "damaged"


def test_a_run_of_an_older_version_does_not_break_the_list(root):
    run = stopped(made(root), 2)
    path = run.folder / "recipe.json"
    about = json.loads(path.read_text())
    del about["recipe"]["dropout"], about["seed"], about["weights_sha256"]
    about["recipe"]["temperature"] = 3
    about["recipe"]["whole"]["epochs"] = 40
    path.write_text(json.dumps(about))
    (listed,) = list_members(root)["members"]
    assert listed["differences"] == {"whole.epochs": 40}
    assert (listed["gone_fields"], listed["new_fields"]) == (["temperature"], ["dropout"])
    assert listed["folds"][0]["detail"] == "stopped at epoch 2 of 40"
    assert listed["command"] is None  # today's code would begin another run
    line = f"{run.run}: whole.epochs=40, temperature (no longer a field), older than dropout"
    assert line in shown(root)


def test_a_member_that_is_no_longer_in_the_catalog(root):
    run = finished(made(root))
    path = run.folder / "recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "resnet"}))
    (listed,) = list_members(root)["members"]
    assert listed["differences_text"] == "the member or its preset is no longer there"


def test_sorted_best_first_and_unknown_last(root, capfd):
    best = finished(made(root, seed=1), 0.5, 0.75).run
    worst = finished(made(root, seed=2), 0.75, 0.25).run
    unknown = stopped(made(root, seed=3), 1).run

    def order(*arguments: str) -> list[str]:
        assert command("--root", root, "--json", *arguments).exit_code == 0
        return [row["run"] for row in json.loads(capfd.readouterr().out)["members"]]

    assert order("--sort", "shifted") == [best, worst, unknown]
    assert order("--sort", "clean") == [worst, best, unknown]
    assert order() == sorted([best, worst, unknown])


def test_an_unknown_column_is_one_line(root):
    result = command("--root", root, "--sort", "loss")
    assert result.exit_code == 1
    assert result.output == (
        "error --sort: expected run, clean, shifted, minutes, mb, got 'loss'.\n"
    )


def test_without_a_dataset_and_without_runs(root):
    finished(made(root))
    (root / "work" / "dataset.h5").unlink()
    assert shown(root)[-1] == "no dataset here, so that nothing was checked against it"
    assert list_members(root)["dataset"] is None
    shutil.rmtree(root / "runs")
    assert shown(root) == ["no runs yet: bcsub train NAME"]


def test_other_folders_under_runs_are_no_members(root):
    (root / "runs" / "ensemble").mkdir(parents=True)
    (root / "runs" / "emulated" / "one").mkdir(parents=True)
    assert list_members(root)["members"] == []
