import json
from dataclasses import replace

import h5py
import pytest

from trainers import custom_cnn, devices, plan
from trainers.plan import plan as planned
from trainers.recipe import HeadPhase, overridden, with_preset
from trainers.runs import Run


@pytest.fixture
def run(tmp_path, dataset) -> Run:
    """48 training rows of three classes: of 16 of each, .2 (3) are watched and 39 learnt from."""
    demo = with_preset(custom_cnn.RECIPE, custom_cnn.PRESETS, "demo")
    recipe = overridden(demo, ["batch=9", "inner_fraction=.2", "whole.epochs=5"])
    return Run(tmp_path, "custom-cnn", "demo", recipe, 0, "", 1, dataset.fingerprint)


def test_a_new_run(run, dataset, monkeypatch):
    monkeypatch.setattr(devices, "gpus", list)
    monkeypatch.setattr(plan.os, "cpu_count", lambda: 3)
    assert planned(run, dataset) == {
        "run": run.run,
        "fold": 1,
        "state": "new",
        "next_epoch": 1,
        "images": 39,
        "batch": 9,
        "steps": 4,
        "epochs": {"whole": 5},
        "precision": "float32",
        "device": "CPU, 3 cores",
        "weights": "none",
        "differences": {"batch": 9, "inner_fraction": 0.2, "whole.epochs": 5},
    }
    assert not run.runs.joinpath(run.run).exists()


def test_a_batch_larger_than_the_data_is_cut_as_in_the_training(run, dataset):
    large = replace(run, recipe=run.recipe.model_copy(update={"batch": 64}))
    row = planned(large, dataset)
    assert (row["batch"], row["steps"]) == (39, 1)


def test_a_run_that_goes_on(run, dataset):
    run.folder.mkdir(parents=True)
    with h5py.File(run.folder / "checkpoint.h5", "w") as file:
        rows = [{"phase": "whole", "epoch": epoch} for epoch in (1, 2, 3)]
        file["state"] = json.dumps({"history": rows})
    row = planned(run, dataset)
    assert (row["state"], row["next_epoch"], row["weights"]) == ("begun", 4, "checkpoint")


def test_a_finished_run(run, dataset):
    run.folder.mkdir(parents=True)
    (run.folder / "member.h5").touch()
    (run.folder / "DONE").write_text('{"epochs": 5}')
    row = planned(run, dataset)
    assert (row["state"], row["next_epoch"]) == ("finished", None)


def test_both_phases_and_where_their_weights_come_from(run, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "cached_file", lambda stock: tmp_path / "cache" / stock.file)
    update = {"weights": "imagenet", "head": HeadPhase(epochs=2, peak_lr=0.1)}
    pretrained = replace(run, name="convnext-base", recipe=run.recipe.model_copy(update=update))
    row = planned(pretrained, dataset)
    assert row["epochs"] == {"head": 2, "whole": 5}
    assert row["weights"] == f"would be downloaded to {tmp_path}/cache/convnext_base_notop.h5"
    own = tmp_path / "own.h5"
    own.touch()
    assert planned(pretrained, dataset, own)["weights"] == str(own)


def test_the_device_is_named(run, dataset, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: ["GPU:0", "GPU:1"])
    assert planned(run, dataset)["device"] == "GPU:0, GPU:1"
