"""Where a run's fold stands: new, begun, or finished; its folder is complete or visibly not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.checkpoint import load_history
from trainers.runs import done


@dataclass(frozen=True)
class Standing:
    """trained: epochs, over all phases, that need not be done again. place: the last of them.

    summary: what DONE says; None while the run is not finished.
    """

    trained: int = 0
    place: str = ""
    summary: dict[str, Any] | None = None

    @property
    def state(self) -> str:
        """new, begun or finished."""
        if self.summary is not None:
            return "finished"
        return "begun" if self.trained else "new"


def standing(folder: Path, epochs: Mapping[str, int]) -> Standing:
    """Where the fold in `folder` stands; epochs: of each phase of its recipe, at most.

    Without a checkpoint nothing can be gone on with, whatever else lies there.
    Raises RunError when DONE or checkpoint is damaged.
    """
    summary = done(folder)
    if summary is not None:
        return Standing(int(summary.get("epochs", 0)), summary=summary)
    path = folder / "checkpoint.h5"
    rows = load_history(path) if path.is_file() else []
    if not rows:
        return Standing()
    phase = rows[-1]["phase"]
    place = f"epoch {rows[-1]['epoch']} of {epochs.get(phase, '?')}"
    return Standing(len(rows), f"{place} of phase {phase}" if len(epochs) > 1 else place)
