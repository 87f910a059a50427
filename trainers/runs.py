"""A run's folder: its name, what lies in it, whether it is finished."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cells.dataset import Dataset
from cells.errors import RunError
from cells.files import fingerprint, write_json
from trainers.recipe import Recipe

AGAIN = "Delete the folder and train it again."


@dataclass(frozen=True)
class Run:
    """One fold of one run: runs/NAME-PRESET-<8 hex>[-TAG]/fold-K.

    weights_sha256: of a file of pretrained weights that is not the one Keras publishes, else "".
    """

    runs: Path
    name: str
    preset: str
    recipe: Recipe
    seed: int
    tag: str
    fold: int
    data_fingerprint: str
    weights_sha256: str = ""

    @property
    def recipe_fingerprint(self) -> str:
        """16 hex digits of recipe, seed, data and, where they are the user's own, weights."""
        own = [self.weights_sha256] if self.weights_sha256 else []
        return fingerprint(self.recipe.model_dump(), self.seed, self.data_fingerprint, *own)

    @property
    def run(self) -> str:
        """The run's name, the same for all its folds."""
        tag = f"-{self.tag}" if self.tag else ""
        return f"{self.name}-{self.preset}-{self.recipe_fingerprint[:8]}{tag}"

    @property
    def folder(self) -> Path:
        """Where this fold lives."""
        return self.runs / self.run / f"fold-{self.fold}"

    def write_recipe(self, dataset: Dataset) -> None:
        """recipe.json: all that a later step must know of this run."""
        write_json(
            self.folder / "recipe.json",
            {
                "run": self.run,
                "name": self.name,
                "preset": self.preset,
                "fold": self.fold,
                "tag": self.tag,
                "seed": self.seed,
                "recipe": self.recipe.model_dump(),
                "weights_sha256": self.weights_sha256,
                "recipe_fingerprint": self.recipe_fingerprint,
                "data_fingerprint": self.data_fingerprint,
                "competition": dataset.competition.name,
                "classes": list(dataset.classes),
                "image_px": dataset.competition.image_px,
            },
        )


def done(folder: Path) -> dict[str, Any] | None:
    """The contents of DONE, or None when the run is not finished or its model is gone.

    Raises RunError when the file is damaged.
    """
    path = folder / "DONE"
    if not (path.is_file() and (folder / "member.h5").is_file()):
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}). {AGAIN}") from None


def read_recipe(folder: Path) -> dict[str, Any]:
    """recipe.json of a run's folder. Raises RunError when it is missing or damaged."""
    path = folder / "recipe.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}). {AGAIN}") from None
