"""A log that follows a run's history.csv, whatever it writes to.

After an epoch, and once more at the end, it hands over the rows it has not handed over yet. So what
an interruption, or a server that was away, left out comes later, and a training that goes on
doubles no epoch. Epochs count over both phases, from 1, as in curves.png.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import keras

from cells.errors import RunError
from cells.files import write_json
from trainers.report import read_history
from trainers.runs import Run, done


@dataclass
class Handed:
    """What a log has got of a run: its own id of the run, epochs, and whether the scores too."""

    id: str = ""
    epochs: int = 0
    scores: bool = False


class Log(keras.callbacks.Callback, ABC):
    """Follows one fold of a run; `say` gets a line when that fails, which ends no training.

    What it has got stands in logs/KIND.json of the run's folder.
    """

    kind: ClassVar[str]

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        super().__init__()
        self.run, self.say = run, say
        self.folder = run.folder / "logs"
        self.handed = Handed()
        self.is_open = False

    def begin(self) -> None:
        """Before the training; nothing is opened for a run that is finished and handed over.

        Raises RunError when that fails: nobody has waited for anything yet.
        """
        self.handed = self._handed_before()
        if self.handed.scores and done(self.run.folder) is not None:
            return
        try:
            self.open()
        except Exception as error:
            raise RunError(
                f"--log {self.kind}: cannot begin ({_in_short(error)}). "
                f"Mend that, or train without --log {self.kind}."
            ) from None
        self.is_open = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hand over what history.csv has got; `fit` writes it first."""
        self._try(self._follow)

    def end(self) -> None:
        """After a training or its interruption: rows and scores of a finished one, then close."""
        summary = done(self.run.folder)
        if summary is not None:
            self._try(lambda: self._finish(summary))
        if self.is_open:
            self.is_open = False
            try:
                self.close(summary is not None)
            except Exception as error:
                self._failed(error)

    def _follow(self) -> None:
        rows = read_history(self.run.folder / "history.csv")
        for epoch, row in enumerate(rows[self.handed.epochs :], self.handed.epochs + 1):
            self.epoch(epoch, row)
        if rows[self.handed.epochs :]:
            self.settle(rows[-1])
        self.handed.epochs = len(rows)
        self.remember()

    def _finish(self, summary: dict[str, Any]) -> None:
        self._follow()
        parts = ("clean_accuracy", "shifted_accuracy")
        self.scores({f"held_out_{part}": summary[part] for part in parts})
        self.handed.scores = True
        self.remember()

    def _try(self, hand_over: Callable[[], None]) -> None:
        if self.is_open:
            try:
                hand_over()
            except Exception as error:  # hours of training do not end for a log
                self.is_open = False
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.say(
            f"{self.run.run} fold {self.run.fold}: --log {self.kind} failed ({_in_short(error)}). "
            "It goes on without; the same command later hands over what is missing."
        )

    def _handed_before(self) -> Handed:
        """What earlier sittings handed over of this training; nothing of one begun anew."""
        goes_on = (self.run.folder / "checkpoint.h5").is_file() or done(self.run.folder) is not None
        try:
            stored = json.loads((self.folder / f"{self.kind}.json").read_text())
            return Handed(**stored) if goes_on else Handed()
        except (OSError, ValueError, TypeError):
            return Handed()

    def remember(self) -> None:
        """Write down what has been handed over."""
        write_json(self.folder / f"{self.kind}.json", asdict(self.handed))

    @staticmethod
    def check() -> None:
        """Import what it needs. Raises ImportError."""

    @abstractmethod
    def open(self) -> None:
        """Open what is logged to, anew or where `handed.id` says."""

    @abstractmethod
    def epoch(self, epoch: int, row: dict[str, Any]) -> None:
        """Hand over a row of the history."""

    def settle(self, row: dict[str, Any]) -> None:
        """Return when all up to `row` has arrived. Raises when it has not."""

    @abstractmethod
    def scores(self, scores: dict[str, float]) -> None:
        """Hand over the scores on the held-out fold."""

    @abstractmethod
    def close(self, whole: bool) -> None:
        """Close what is logged to; whole: the run is finished."""


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
