import json
from pathlib import Path

import h5py
import pytest

from cells.errors import RunError
from trainers.report import write_history
from trainers.standing import Standing, standing

BOTH = {"head": 8, "whole": 27}


def checkpoint(folder: Path, *places: tuple[str, int]) -> None:
    """A checkpoint after these epochs, as far as it is read here."""
    rows = [{"phase": phase, "epoch": epoch} for phase, epoch in places]
    with h5py.File(folder / "checkpoint.h5", "w") as file:
        file["state"] = json.dumps({"history": rows})


def test_nothing_there_yet(tmp_path):
    assert standing(tmp_path / "fold-0", BOTH) == Standing()
    assert Standing().state == "new"


def test_one_that_can_go_on(tmp_path):
    checkpoint(tmp_path, ("whole", 1), ("whole", 2))
    found = standing(tmp_path, {"whole": 27})
    assert (found.state, found.trained, found.place) == ("begun", 2, "epoch 2 of 27")


def test_the_second_of_two_phases(tmp_path):
    checkpoint(tmp_path, ("head", 1), ("head", 2), ("whole", 1))
    found = standing(tmp_path, BOTH)
    assert (found.trained, found.place) == (3, "epoch 1 of 27 of phase whole")


def test_a_history_without_a_checkpoint_is_of_no_use(tmp_path):
    write_history(tmp_path / "history.csv", [{"phase": "whole", "epoch": 1}])
    assert standing(tmp_path, BOTH).state == "new"


def test_stopped_in_its_first_epoch_beside_the_history_of_an_older_training(tmp_path):
    checkpoint(tmp_path)
    write_history(tmp_path / "history.csv", [{"phase": "whole", "epoch": 9}])
    assert standing(tmp_path, BOTH).state == "new"


def test_a_damaged_checkpoint_is_said(tmp_path):
    (tmp_path / "checkpoint.h5").write_text("{")
    with pytest.raises(RunError, match=r"checkpoint.h5: damaged \(.*Delete it to train from the"):
        standing(tmp_path, BOTH)


@pytest.mark.parametrize("model", [True, False])
def test_finished_only_with_its_model(tmp_path, model):
    (tmp_path / "DONE").write_text(json.dumps({"epochs": 5}))
    if model:
        (tmp_path / "member.h5").touch()
    found = standing(tmp_path, BOTH)
    assert found.state == ("finished" if model else "new")
    assert found.trained == (5 if model else 0)
