"""The rows of the live table: what is known of each run, what is left of it, how it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from trainers.fit import phases
from trainers.runs import Run, done

WAITING, STARTING, BEFORE, DONE, STOPPED = "waiting", "starting", "before", "done", "stopped"
STYLES = {WAITING: "dim", BEFORE: "green", DONE: "green", STOPPED: "yellow"}  # else it trains
# A step that moves the backbone costs three forward passes, one on a frozen backbone one.
WHOLE_OVER_HEAD = 3
# Columns of a terminal from which they are shown.
LOSS_FROM, SPEED_FROM = 90, 70


@dataclass
class Row:
    """One run's fold: what was told last, and how fast its steps follow each other.

    epochs: of each phase, at most. whole_over_head: what a step of the last phase costs more than
    one of the first. state: a constant above, or the phase that trains. epoch: of
    that phase, from 1. clean, shifted: accuracy on the inner rows while it trains, on the held-out
    fold when it is done. spent_s: of a finished run, all its sittings. began: this sitting.
    """

    run: str
    fold: int
    batch: int
    epochs: dict[str, int]
    whole_over_head: int = WHOLE_OVER_HEAD
    state: str = WAITING
    phase: str = ""
    epoch: int = 0
    images_per_s: float | None = None
    loss: float | None = None
    clean: float | None = None
    shifted: float | None = None
    spent_s: float = 0.0
    began: float = 0.0
    steps: int = 0  # an epoch's
    first: tuple[int, float] = (0, 0.0)  # of this phase in this sitting: step, and when
    last: tuple[int, float] = (0, 0.0)

    def step(self, phase: str, epoch: int, step: int, steps: int, now: float) -> None:
        """Note a step; a phase's first one, which compiles the network, only starts a clock."""
        at = epoch * steps + step
        if (phase, steps) != (self.phase, self.steps):
            self.first = at, now
        self.state, self.phase, self.epoch, self.steps = phase, phase, epoch + 1, steps
        self.last = at, now
        if self.step_s:
            self.images_per_s = self.batch / self.step_s

    def finish(self, summary: dict[str, Any], state: str) -> None:
        """Take over what the run's DONE says."""
        self.state, self.loss, self.spent_s = state, None, summary["seconds"]
        self.clean, self.shifted = summary["clean_accuracy"], summary["shifted_accuracy"]
        self.images_per_s = summary["images_per_s"]

    @property
    def finished(self) -> bool:
        """Whether it is done, be it by an earlier command."""
        return self.state in (DONE, BEFORE)

    @property
    def step_s(self) -> float:
        """Seconds a step of this phase, the scoring after its epochs included; 0: not known yet."""
        steps = self.last[0] - self.first[0]
        return (self.last[1] - self.first[1]) / steps if steps > 0 else 0.0

    def left_s(self, now: float) -> float | None:
        """Seconds until the last phase ends if none stops early; None: not known, or not training.

        now: by the clock that the steps were told with.
        """
        if not self.step_s or self.state != self.phase:
            return None
        names = list(self.epochs)
        later = sum(self.epochs[name] for name in names[names.index(self.phase) + 1 :])
        steps = self.epochs[self.phase] * self.steps - self.last[0]
        steps += later * self.steps * self.whole_over_head
        return max(0.0, steps * self.step_s - (now - self.last[1]))


def row_of(run: Run) -> Row:
    """The row of a run before its turn; one that is finished already shows its scores."""
    epochs = {name: phase.epochs for name, phase in phases(run.recipe)}
    head = run.recipe.head
    over_head = WHOLE_OVER_HEAD if head is None or head.head_alone else 1
    row = Row(run.run, run.fold, run.recipe.batch, epochs, over_head)
    summary = done(run.folder)
    if summary is not None:
        row.finish(summary, BEFORE)
    return row


def all_left_s(rows: Sequence[Row], now: float) -> tuple[float | None, bool]:
    """Seconds until every run is trained, None when nothing is known; and whether all count in it.

    A fold that waits takes as long as another of its run that is finished or has begun.
    """
    takes: dict[str, float] = {}
    known: list[float] = []
    for row in rows:
        left = row.left_s(now)
        if row.finished:
            takes[row.run] = row.spent_s
        elif left is not None:
            known.append(left)
            takes[row.run] = now - row.began + left
    waiting = [row for row in rows if row.state in (WAITING, STARTING)]
    known += [takes[row.run] for row in waiting if row.run in takes]
    return (sum(known) if known else None), all(row.run in takes for row in waiting)


def fitting(rows: list[Row], lines: int) -> list[Row]:
    """As many neighbouring rows as `lines` hold, the one that trains in their middle."""
    if len(rows) <= lines:
        return rows
    middle = next((i for i, row in enumerate(rows) if row.state not in STYLES), None)
    if middle is None:
        middle = next((i for i, row in enumerate(rows) if row.state == WAITING), len(rows))
    start = min(max(0, middle - lines // 2), len(rows) - lines)
    return rows[start : start + lines]


def draw(rows: Sequence[Row], width: int, now: float) -> Table:
    """The table over `rows` at time `now`, for a screen of `width` columns."""
    speed, loss = width >= SPEED_FROM, width >= LOSS_FROM
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("run", overflow="fold", min_width=10)
    table.add_column("fold", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for title in (*["img/s"] * speed, *["loss"] * loss, "clean", "shifted", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            escape(row.run),
            str(row.fold),
            _state(row),
            *[_figure(row.images_per_s, 0)] * speed,
            *[_figure(row.loss, 3)] * loss,
            _figure(row.clean, 4),
            _figure(row.shifted, 4),
            _time(row, now),
            style=STYLES.get(row.state, "bold"),
        )
    return table


def totals(rows: Sequence[Row], now: float) -> str:
    """How many are done, when all are, and what the figures of a row are about."""
    parts = [f"{sum(row.finished for row in rows)} of {len(rows)} done"]
    left, whole = all_left_s(rows, now)
    if left is not None:
        parts.append(f"ETA {clock_time(left)}{'' if whole else ' + the others'}")
    parts.append("in training: inner rows, time left; done: held-out rows, time taken")
    return "; ".join(parts)


def clock_time(seconds: float) -> str:
    """4:05, or 1:04:05 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _state(row: Row) -> str:
    """The phase with its epoch while it trains, else a word."""
    if not row.phase or row.finished:
        return row.state
    return f"{row.state} {row.epoch}/{row.epochs[row.phase]}"


def _time(row: Row, now: float) -> str:
    """What a finished run took, what is left of one that trains."""
    if row.finished:
        return clock_time(row.spent_s)
    left = row.left_s(now)
    return "" if left is None else clock_time(left)


def _figure(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
