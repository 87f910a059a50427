"""A dataset of three colours that tiny networks learn in a moment, and somebody to tell."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cells.competition import Competition
from cells.dataset import Dataset, open_dataset, write_dataset
from cells.policy import Dose, Policy
from trainers.recipe import Phase, Recipe

CLASSES = ("red", "green", "blue")
ROWS = 80  # 0-71 train, in folds 0 to 2 by turns of three; 72-79 test


class Told:
    """A progress that keeps what it is told, and may interrupt after an epoch."""

    def __init__(self, interrupt_after: int = 0) -> None:
        self.interrupt_after = interrupt_after
        self.rows: list[dict[str, Any]] = []
        self.steps: list[tuple[str, int, int, int, int]] = []
        self.lines: list[str] = []

    def step(self, *where: Any) -> None:
        self.steps.append(where)

    def epoch(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if len(self.rows) == self.interrupt_after:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="session")
def told() -> type[Told]:
    return Told


def coloured(labels: np.ndarray, px: int, rng: np.random.Generator) -> np.ndarray:
    """(n, px, px, 3) uint8 noise, brighter in the channel of the label."""
    images = rng.integers(0, 120, (len(labels), px, px, 3))
    images[np.arange(len(labels)), :, :, labels] += 60
    return images.astype(np.uint8)


def write_colours(root: Path) -> Dataset:
    """Write root/work/dataset.h5: 16 px, 3 classes, 3 folds of 24 rows, 8 test rows."""
    path = root / "work" / "dataset.h5"
    rng = np.random.default_rng(0)
    row = np.arange(ROWS)
    labels = row // 3 % 3
    images = coloured(labels, 16, rng)
    in_test = row >= 72
    write_dataset(
        path,
        Competition(name="colours", title="Colours", classes=CLASSES, image_px=16),
        "data-one",
        3,
        ("dark",),
        images,
        images // 2,
        {
            "labels": labels,
            "group": row.astype(np.int32),
            "part": in_test.astype(np.int8),
            "fold": np.where(in_test, -1, row % 3).astype(np.int8),
            "dropped": np.zeros(ROWS, np.uint8),
            "shift_family": np.zeros(ROWS, np.uint8),
            "shift_severity": np.ones(ROWS, np.uint8),
        },
    )
    return open_dataset(path)


def tiny_cnn(**fields: Any) -> Recipe:
    """The custom CNN as small as it may be, for two epochs; `fields` of the recipe may differ."""
    given = {
        "widths": (4, 6),
        "depths": (0, 1),
        "norm_momentum": 0.99,
        "batch": 16,
        "inner_fraction": 0.2,
        "whole": Phase(epochs=2, peak_lr=0.05),
    }
    return Recipe(name="custom-cnn", **given | fields)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_colours(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="session")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of two epochs, interrupted after the first and gone on with.

    .run, .dataset, .between (files that lay there after the interruption), .tolds (two), .done
    (what train_run returned).
    """
    from trainers.runs import Run
    from trainers.train import train_run

    policy = Policy(flip=0.5, mixup=Dose(rate=0.5, strength=1))
    recipe = tiny_cnn(ema_momentum=0.5, policy=policy)
    runs = tmp_path_factory.mktemp("root") / "runs"
    run = Run(runs, "custom-cnn", "demo", recipe, 7, "trial", 1, dataset.fingerprint)
    tolds = [Told(interrupt_after=1), Told()]
    with pytest.raises(KeyboardInterrupt):
        train_run(run, dataset, tolds[0])
    between = set(os.listdir(run.folder))
    summary = train_run(run, dataset, tolds[1])
    return SimpleNamespace(run=run, dataset=dataset, between=between, tolds=tolds, done=summary)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[2]
