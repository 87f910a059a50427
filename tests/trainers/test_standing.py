import json

import pytest

from trainers.report import write_history
from trainers.standing import Standing, standing

BOTH = {"head": 8, "whole": 27}


def rows(*places: tuple[str, int]) -> list[dict]:
    return [{"phase": phase, "epoch": epoch, "loss": 0.5} for phase, epoch in places]


def test_nothing_there_yet(tmp_path):
    assert standing(tmp_path / "fold-0", BOTH) == Standing()
    assert Standing().state == "new"


def test_one_that_can_go_on(tmp_path):
    (tmp_path / "checkpoint.h5").touch()
    write_history(tmp_path / "history.csv", rows(("whole", 1), ("whole", 2)))
    found = standing(tmp_path, {"whole": 27})
    assert (found.state, found.trained, found.place) == ("begun", 2, "epoch 2 of 27")


def test_the_second_of_two_phases(tmp_path):
    (tmp_path / "checkpoint.h5").touch()
    write_history(tmp_path / "history.csv", rows(("head", 1), ("head", 2), ("whole", 1)))
    found = standing(tmp_path, BOTH)
    assert (found.trained, found.place) == (3, "epoch 1 of 27 of phase whole")


def test_a_history_without_a_checkpoint_is_of_no_use(tmp_path):
    write_history(tmp_path / "history.csv", rows(("whole", 1)))
    assert standing(tmp_path, BOTH).state == "new"


def test_a_checkpoint_before_its_history(tmp_path):
    (tmp_path / "checkpoint.h5").touch()
    assert standing(tmp_path, BOTH).state == "new"


@pytest.mark.parametrize("model", [True, False])
def test_finished_only_with_its_model(tmp_path, model):
    (tmp_path / "DONE").write_text(json.dumps({"epochs": 5}))
    if model:
        (tmp_path / "member.h5").touch()
    found = standing(tmp_path, BOTH)
    assert found.state == ("finished" if model else "new")
    assert found.trained == (5 if model else 0)
