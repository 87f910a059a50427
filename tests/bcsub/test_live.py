"""The live table, drawn into a console that remembers; and the lines where there is no terminal."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from bcsub.live import Lines, LiveTable, progress_over
from bcsub.live_rows import Row, all_left_s, clock_time, fitting, row_of
from trainers.recipe import HeadPhase, Phase, Recipe
from trainers.runs import Run

EPOCH = {
    "phase": "whole",
    "epoch": 2,
    "images_per_s": 123.4,
    "loss": 0.5,
    "inner_clean_accuracy": 0.75,
    "inner_clean_loss": 0.25,
    "inner_shifted_accuracy": 0.625,
    "inner_shifted_loss": 0.875,
}
SUMMARY = {
    "clean_accuracy": 0.9875,
    "shifted_accuracy": 0.8125,
    "seconds": 3725.0,
    "images_per_s": 99.0,
    "epochs": 4,
}


class Clock:
    """A clock that stands where a test puts it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def runs(folder: Path, folds: int = 3, **changes) -> list[Run]:
    fields = {"batch": 10, "whole": Phase(epochs=4, peak_lr=0.1), **changes}
    recipe = Recipe(name="custom-cnn", **fields)
    return [Run(folder, "custom-cnn", "cpu", recipe, 0, "", fold, "data") for fold in range(folds)]


def finish(run: Run) -> None:
    run.folder.mkdir(parents=True)
    (run.folder / "member.h5").touch()
    (run.folder / "DONE").write_text(json.dumps(SUMMARY))


def screen(width: int = 120, height: int = 40) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=height
    )


def shown(table: LiveTable) -> list[list[str]]:
    """The words of each line that the screen would show now."""
    console = Console(
        file=io.StringIO(), record=True, width=table.console.width, height=table.console.height
    )
    console.print(table.picture())
    return [line.split() for line in console.export_text().splitlines()]


# ---- what a row shows ----------------------------------------------------------------------------


def test_a_row_for_every_run_whatever_its_state(tmp_path):
    made, clock = runs(tmp_path), Clock()
    finish(made[0])
    table = LiveTable(made, screen(), clock)
    table.begin(made[1])
    for step in (1, 2, 3):
        table.step("whole", 1, 4, step, 5)  # goes on with the second of four epochs
        clock.now += 2
    heading, before, training, waiting, totals, *rest = shown(table)
    assert heading == ["run", "fold", "img/s", "loss", "clean", "shifted", "time"]
    name = made[0].run
    assert before == [name, "0", "before", "99", "0.9875", "0.8125", "1:02:05"]
    # 2 s a step: of 20 steps 8 are done, the last one 2 s ago: 24 s, less 2
    assert training == [name, "1", "whole", "2/4", "5", "0:22"]
    assert waiting == [name, "2", "waiting"]
    # the third fold takes as long as the second: 6 s so far and 22 s to go
    assert " ".join(totals).startswith("1 of 3 done; ETA 0:50; in training: inner rows")
    assert rest == []


def test_an_epochs_figures_stay_until_the_next(tmp_path):
    made = runs(tmp_path, 1)
    table = LiveTable(made, screen(), Clock())
    table.begin(made[0])
    table.say("batch halved to 5")
    assert shown(table)[-1] == ["batch", "halved", "to", "5"]
    table.step("whole", 1, 4, 5, 5)
    table.epoch(EPOCH)
    assert shown(table)[1][2:] == ["whole", "2/4", "123", "0.500", "0.7500", "0.6250"]
    assert "halved" not in shown(table)[-1]


def test_a_finished_one_shows_the_held_out_fold(tmp_path):
    made = runs(tmp_path, 2)
    table = LiveTable(made, screen(), Clock())
    table.begin(made[0])
    table.step("whole", 3, 4, 5, 5)
    table.epoch(EPOCH)
    table.end(SUMMARY)
    row = shown(table)[1]
    assert row[1:] == ["0", "done", "99", "0.9875", "0.8125", "1:02:05"]
    assert " ".join(shown(table)[3]).startswith("1 of 2 done; ETA 1:02:05;")


def test_one_that_was_finished_before_stays_so(tmp_path):
    made = runs(tmp_path, 1)
    finish(made[0])
    table = LiveTable(made, screen(), Clock())
    table.begin(made[0])
    table.end(SUMMARY)
    assert shown(table)[1][2] == "before"


# ---- how long it takes ---------------------------------------------------------------------------


def test_the_whole_network_is_expected_to_cost_three_times_the_head():
    row = Row("r", 0, 10, {"head": 2, "whole": 3})
    row.step("head", 0, 1, 10, now=0.0)
    assert row.left_s(0.0) is None  # the first step, which compiles, is no measure
    row.step("head", 0, 2, 10, now=1.0)
    assert row.left_s(1.0) == 18 + 3 * 30
    row.step("whole", 0, 1, 10, now=50.0)
    assert row.left_s(50.0) is None
    row.step("whole", 0, 3, 10, now=54.0)
    assert row.left_s(54.0) == 27 * 2
    assert row.images_per_s == 5.0


@pytest.mark.parametrize(("trainable_layers", "times"), [(None, 3), (0, 3), (2, 1)])
def test_a_first_phase_that_moves_the_backbone_too_costs_as_much(tmp_path, trainable_layers, times):
    head = HeadPhase(epochs=2, peak_lr=0.1, trainable_layers=trainable_layers)
    (run,) = runs(tmp_path, 1, head=head, weights="imagenet")
    assert row_of(run).whole_over_head == times
    row = Row("r", 0, 10, {"head": 2, "whole": 3}, times)
    row.step("head", 0, 1, 10, now=0.0)
    row.step("head", 0, 2, 10, now=1.0)
    assert row.left_s(1.0) == 18 + times * 30


def test_what_nothing_is_known_of_is_said_to_be_left_out():
    known = Row("a", 0, 10, {"whole": 1}, state="whole", phase="whole", steps=10)
    known.first, known.last = (1, 0.0), (6, 5.0)
    other = Row("b", 0, 10, {"whole": 1})
    assert all_left_s([other], 5.0) == (None, False)
    assert all_left_s([known, other], 5.0) == (4.0, False)
    same = Row("a", 1, 10, {"whole": 1})
    assert all_left_s([known, same], 5.0) == (4.0 + 5.0 + 4.0, True)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (245, "4:05"), (3845, "1:04:05")]
)
def test_durations(seconds, text):
    assert clock_time(seconds) == text


# ---- on a terminal -------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "absent"), [(80, {"loss"}), (60, {"loss", "img/s"})])
def test_a_narrow_terminal_cuts_no_figure(tmp_path, width, absent):
    made, clock = runs(tmp_path), Clock()
    finish(made[0])
    table = LiveTable(made, screen(width), clock)
    table.begin(made[1])
    for step in (1, 2):
        table.step("whole", 1, 4, step, 5)
        clock.now += 2
    table.epoch(EPOCH)
    lines = shown(table)
    assert {"img/s", "loss"} - set(lines[0]) == absent
    words = [word for line in lines for word in line]
    for word in ("2/4", "0.7500", "0.6250", "0.9875", "0.8125", "1:02:05"):
        assert word in words
    assert not any("…" in word for word in words)
    assert made[0].run in (lines[1][0], lines[1][0] + lines[2][0])


def test_at_80_columns_a_long_name_stays_in_one_line(tmp_path):
    (run,) = runs(tmp_path, 1)
    long = Run(tmp_path, "convnext-small", "full", run.recipe, 0, "", 0, "data")
    finish(long)
    assert shown(LiveTable([long], screen(80), Clock()))[1][0] == long.run


def test_more_runs_than_lines_show_the_one_that_trains():
    rows = [Row("r", fold, 10, {"whole": 1}, state="done") for fold in range(20)]
    rows += [Row("r", 20, 10, {"whole": 1}, state="whole", phase="whole")]
    rows += [Row("r", fold, 10, {"whole": 1}) for fold in range(21, 30)]
    assert [row.fold for row in fitting(rows, 5)] == [18, 19, 20, 21, 22]
    assert [row.fold for row in fitting(rows[:20], 5)] == [15, 16, 17, 18, 19]
    assert fitting(rows, 30) == rows


def test_it_says_how_many_rows_do_not_fit_and_shows_all_in_the_end(tmp_path):
    console = screen(height=12)
    table = LiveTable(runs(tmp_path, 20), console, Clock())
    assert len(shown(table)) == 1 + 7 + 1
    assert " ".join(shown(table)[-1]).endswith("13 rows more than fit here")
    with table:
        pass
    last = console.file.getvalue().rpartition("shifted")[2]
    assert last.count("waiting") == 20


def test_ctrl_c_leaves_the_last_state_on_the_screen(tmp_path):
    made, console = runs(tmp_path), screen()

    def train() -> None:
        with LiveTable(made, console, Clock()) as table:
            table.begin(made[0])
            table.step("whole", 1, 4, 3, 5)
            table.epoch(EPOCH)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    last = console.file.getvalue().rpartition("fold")[2]
    assert re.search(r"stopped 2/4 +123 +0\.500 +0\.7500 +0\.6250", last)
    assert last.count("waiting") == 2


# ---- without a terminal --------------------------------------------------------------------------


def test_a_terminal_gets_the_table_and_a_log_file_lines(tmp_path):
    made = runs(tmp_path)
    assert isinstance(progress_over(made, screen()), LiveTable)
    assert isinstance(progress_over(made, Console(file=io.StringIO())), Lines)


def test_a_line_an_epoch_and_none_a_step(tmp_path):
    made, file = runs(tmp_path), io.StringIO()
    with progress_over(made, Console(file=file, width=80)) as progress:
        progress.begin(made[2])
        progress.say("fold 2: 12 training images [of 13]")
        progress.step("whole", 1, 4, 1, 5)
        progress.epoch(EPOCH)
        progress.end(SUMMARY)
    assert file.getvalue().splitlines() == [
        "fold 2: 12 training images [of 13]",
        f"{made[0].run} fold 2 whole epoch   2  123 images/s  loss 0.5000  "
        "inner clean 0.7500 (0.2500)  shifted 0.6250 (0.8750)",
    ]


def test_the_line_has_the_version_by_rand_augment_where_it_is_scored(tmp_path):
    file = io.StringIO()
    with progress_over(runs(tmp_path), Console(file=file, width=80)) as progress:
        progress.epoch({**EPOCH, "inner_augmented_accuracy": 0.5, "inner_augmented_loss": 1.125})
    assert file.getvalue().endswith("  shifted 0.6250 (0.8750)  augmented 0.5000 (1.1250)\n")
