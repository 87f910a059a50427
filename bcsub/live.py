"""How a `bcsub train` goes: one live table over all its runs on a terminal, plain lines elsewhere.

A step only notes numbers; the table is drawn from them once a second.
"""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from bcsub.live_rows import BEFORE, DONE, STARTING, STOPPED, Row, draw, fitting, row_of, totals
from trainers.keeper import Progress
from trainers.report import INNER_VERSIONS
from trainers.runs import Run

FRAME_LINES = 5  # heading, totals in two lines, what is said, and the cursor's own


class RunsProgress(Progress, Protocol):
    """What a `bcsub train` over several runs tells besides."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def begin(self, run: Run) -> None:
        """A run's turn."""

    def end(self, summary: dict[str, Any]) -> None:
        """The run is finished; `summary` is what its DONE says."""


def progress_over(runs: Sequence[Run], console: Console) -> RunsProgress:
    """A live table where `console` is a terminal, a line after each epoch where it is none."""
    return LiveTable(runs, console) if console.is_terminal else Lines(console)


class Lines:
    """A line after each epoch, for a log file, a notebook or CI."""

    def __init__(self, console: Console) -> None:
        self.console, self.title = console, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        """Nothing is left open."""

    def begin(self, run: Run) -> None:
        """A run's turn."""
        self.title = f"{run.run} fold {run.fold}"

    def say(self, text: str) -> None:
        """A line about what is being done now."""
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def step(self, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """A step is no line."""

    def epoch(self, row: dict[str, Any]) -> None:
        """The epoch's row of the history."""
        self.say(
            f"{self.title} {row['phase']} epoch {row['epoch']:3d}  "
            f"{row['images_per_s']:.0f} images/s  loss {row['loss']:.4f}  inner {_inner(row)}"
        )

    def end(self, summary: dict[str, Any]) -> None:
        """The command's own table says it."""


class LiveTable:
    """A row for every run, waiting, training or finished; the last state stays on the screen.

    clock: seconds, from anywhere.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        console: Console,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.console, self.clock = console, clock
        self.rows = {(run.run, run.fold): row_of(run) for run in runs}
        self.current: Row | None = None
        self.note, self.over = "", False
        self.live = Live(console=console, get_renderable=self.picture, refresh_per_second=1)

    def __enter__(self) -> Self:
        self.live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.current is not None:  # Ctrl-C, or a fault
            self.current.state = STOPPED
        self.note, self.over = "", True
        self.live.stop()

    def begin(self, run: Run) -> None:
        """A run's turn."""
        self.current, self.note = self.rows[run.run, run.fold], ""
        self.current.began = self.clock()
        if not self.current.finished:
            self.current.state = STARTING

    def say(self, text: str) -> None:
        """A line below the table, until the next one or the next epoch."""
        self.note = text

    def step(self, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """Where the running fold is."""
        if self.current is not None:
            self.current.step(phase, epoch, step, steps, self.clock())

    def epoch(self, row: dict[str, Any]) -> None:
        """The figures of an epoch."""
        self.note = ""
        if self.current is not None:
            self.current.images_per_s, self.current.loss = row["images_per_s"], row["loss"]
            self.current.clean = row["inner_clean_accuracy"]
            self.current.shifted = row["inner_shifted_accuracy"]

    def end(self, summary: dict[str, Any]) -> None:
        """The running fold is finished."""
        if self.current is not None:
            self.current.finish(summary, BEFORE if self.current.state == BEFORE else DONE)
        self.current = None

    def picture(self) -> Group:
        """What the screen shows now: as many rows as it holds, in the end all of them."""
        rows, now = list(self.rows.values()), self.clock()
        shown = rows if self.over else fitting(rows, max(3, self.console.height - FRAME_LINES))
        below = [Text(totals(rows, now), style="dim")]
        if len(shown) < len(rows):
            below[0].append(f"; {len(rows) - len(shown)} rows more than fit here")
        if self.note:
            below.append(Text(self.note, style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(draw(shown, self.console.width, now), *below)


def _inner(row: dict[str, Any]) -> str:
    """Accuracy and loss on each version of the inner rows that was scored."""
    return "  ".join(
        f"{version} {row[f'inner_{version}_accuracy']:.4f} ({row[f'inner_{version}_loss']:.4f})"
        for version in INNER_VERSIONS
        if f"inner_{version}_loss" in row
    )
