"""How well `bcsub train` foretells a run: its trial, then the run itself, side by side.

    python -m trainers.bench_trial work/dataset.h5 custom-cnn --preset cpu --set whole.epochs=3

trains in a temporary folder, so that the run is a new one, and prints length and memory as the
trial estimated them and as the run took them. Early stopping ends a run sooner than estimated.
"""

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import typer
from rich.console import Console
from rich.table import Table

from cells.dataset import open_dataset
from trainers import devices
from trainers.catalog import member
from trainers.recipe import overridden, with_preset
from trainers.runs import Run
from trainers.train import train_run
from trainers.trial import highest_memory, trial


def really(run: Run, dataset: Path) -> tuple[float, float]:
    """Train `run` in a process of its own: seconds, and its memory at the highest in MB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_train, run, dataset).result()


class Quiet:
    """Progress that nobody is told of."""

    def say(self, text: str) -> None:
        """Nothing."""

    def step(self, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """Nothing."""

    def epoch(self, row: dict[str, Any]) -> None:
        """Nothing."""


def _train(run: Run, dataset: Path) -> tuple[float, float]:
    began = time.perf_counter()
    with highest_memory() as highest:
        train_run(run, open_dataset(dataset), Quiet())
    seconds = time.perf_counter() - began
    on_gpu = devices.gpu_memory_mb()
    return seconds, on_gpu[0] if on_gpu else highest[0]


def table(
    dataset: Annotated[Path, typer.Argument(help="work/dataset.h5 of `bcsub prepare`.")],
    name: Annotated[str, typer.Argument(help="A member, such as custom-cnn.")],
    preset: Annotated[str, typer.Option(help="full, cpu or demo.")] = "cpu",
    settings: Annotated[list[str] | None, typer.Option("--set", help="field=value.")] = None,
) -> None:
    """Estimate a run from a few steps, train it, and print both."""
    module = member(name)
    recipe = overridden(with_preset(module.RECIPE, module.PRESETS, preset), settings or [])
    opened = open_dataset(dataset)
    with tempfile.TemporaryDirectory() as runs:
        run = Run(Path(runs), name, preset, recipe, 0, "", 0, opened.fingerprint)
        found = trial(run, opened)
        seconds, peak_mb = really(run, dataset)
    out = Table("", "estimated", "taken", "estimated / taken", title=f"{name}, preset {preset}")
    for what, estimate, taken in (
        ("seconds", found.seconds, seconds),
        ("memory, MB", found.peak_mb, peak_mb),
    ):
        out.add_row(what, f"{estimate:.0f}", f"{taken:.0f}", f"{estimate / taken:.2f}")
    Console().print(out)


if __name__ == "__main__":
    typer.run(table)
