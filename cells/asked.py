"""The `bcsub prepare` that made what is in work/, to be advised again with the options it had.

Without them it would make another dataset: --deep undone, and every trained member out of date.
"""

import json
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cells.competition import DEFAULT


@dataclass(frozen=True)
class Asked:
    """What was asked of `bcsub prepare`: fields have the options' names, and their defaults."""

    archive: str = "ARCHIVE"
    competition: str = DEFAULT
    folds: int | None = None
    shares: str = ""
    seed: int = 0
    splits: str = "train"
    upscale: bool = False
    deep: bool = False
    root: str = "."

    def command(self) -> str:
        """As a shell takes it, without the options that are as they are anyway."""
        words, unsaid = ["bcsub", "prepare", self.archive], asdict(Asked())
        for name, value in asdict(self).items():
            if name != "archive" and value != unsaid[name]:
                words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return shlex.join(words)


def asked_before(work: Path) -> Asked:
    """What made the dataset in `work`, wherever that lies now; ARCHIVE where nobody noted it."""
    try:
        summary = json.loads((work / "prepare" / "summary.json").read_text())
        noted = Asked(**summary["asked"])
    except (OSError, ValueError, KeyError, TypeError):
        noted = Asked()
    return replace(noted, root=str(work.parent))
