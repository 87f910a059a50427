"""Which runs a `bcsub train` means, and the rich progress over them."""

import time
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bcsub.console import progress as console
from bcsub.console import say
from cells.dataset import Dataset, open_dataset
from cells.errors import DatasetError, RecipeError
from ensemble.runs import stale_folders
from trainers import devices
from trainers.catalog import member, members_with
from trainers.fit import phases
from trainers.predict import predict_run
from trainers.pretrained import own_sha256, resolve
from trainers.recipe import Recipe, overridden, with_preset
from trainers.runs import Run, done
from trainers.train import check_recipe, train_run


def train_members(
    root: Path,
    names: list[str],
    preset: str,
    folds: int,
    seed: int,
    tag: str,
    settings: list[str],
    weights_file: Path | None,
    despite_cpu: bool,
) -> list[dict[str, Any]]:
    """Train every named member (none named: all that have the preset), fold by fold.

    Returns what each DONE says. Raises RecipeError when a full preset would run without a GPU and
    `despite_cpu` is not said; the text says what it would take.
    """
    dataset = open_dataset(root / "work" / "dataset.h5")
    if folds > dataset.folds:
        raise DatasetError(
            f"--folds: the dataset has {dataset.folds} folds, got {folds}. "
            f"Run `bcsub prepare ARCHIVE --folds {folds}`."
        )
    if not tag.replace("-", "").replace("_", "").isalnum() and tag:
        raise RecipeError(f"--tag: expected letters, digits, - and _, got {tag!r}.")
    recipes: dict[str, Recipe] = {}
    for name in dict.fromkeys(names or members_with(preset)):
        module = member(name)
        recipes[name] = overridden(with_preset(module.RECIPE, module.PRESETS, preset), settings)
    own_weights = _own_weights(recipes, weights_file)
    runs = [
        Run(
            runs=root / "runs",
            name=name,
            preset=preset,
            recipe=recipe,
            seed=seed,
            tag=tag,
            fold=fold,
            data_fingerprint=dataset.fingerprint,
            weights_sha256=own_weights.get(name, ""),
        )
        for name, recipe in recipes.items()
        for fold in range(folds)
    ]
    # KerasCV's layers warn of every operation that they loop over, a dozen lines for each of them
    tf.get_logger().setLevel("ERROR")
    waiting = [run for run in runs if done(run.folder) is None]
    if preset == "full" and waiting and not devices.gpus() and not despite_cpu:
        raise RecipeError(_what_it_would_take(waiting, dataset))
    for recipe in {run.name: run.recipe for run in waiting}.values():
        check_recipe(recipe, dataset.competition.image_px, len(dataset.classes))
    files = _weights_files(waiting, weights_file)
    with RichProgress() as progress:
        return [_one(run, dataset, progress, files.get(run.name)) for run in runs]


def _own_weights(recipes: dict[str, Recipe], weights_file: Path | None) -> dict[str, str]:
    """SHA-256 of --weights by the one member that begins with it; nothing for Keras's own file.

    Raises RecipeError when not exactly one of the members does.
    """
    if weights_file is None:
        return {}
    pretrained = [name for name, recipe in recipes.items() if recipe.weights != "none"]
    if len(pretrained) != 1:
        raise RecipeError(
            "--weights: expected exactly one member that begins with pretrained weights, got "
            f"{', '.join(pretrained) or 'none'}. Name one, such as bcsub train convnext-base."
        )
    return {pretrained[0]: own_sha256(pretrained[0], resolve(pretrained[0], weights_file))}


def _weights_files(runs: list[Run], weights_file: Path | None) -> dict[str, Path]:
    """Pretrained weights by member, all of them found, or downloaded, before the first trains.

    A run that goes on has its own in its checkpoint.
    """
    names = dict.fromkeys(
        run.name
        for run in runs
        if run.recipe.weights != "none" and not (run.folder / "checkpoint.h5").is_file()
    )
    return {name: resolve(name, weights_file) for name in names}


def predict_folders(root: Path, folders: list[Path]) -> list[str]:
    """Remake predictions.h5 of run folders; returns those that were made.

    None given: of all finished runs on this dataset whose predictions are missing or stale.
    """
    dataset = open_dataset(root / "work" / "dataset.h5")
    chosen = folders or stale_folders(root / "runs", dataset, say)
    for folder in chosen:
        predict_run(folder, dataset, say)
    return [str(folder) for folder in chosen]


def _one(
    run: Run, dataset: Dataset, progress: "RichProgress", weights_file: Path | None
) -> dict[str, Any]:
    progress.begin(run)
    return train_run(run, dataset, progress, weights_file)


def _what_it_would_take(runs: list[Run], dataset: Dataset) -> str:
    images = len(dataset.train_rows(0))
    hours: dict[str, float] = {}
    for run in runs:
        if run.name not in hours:
            network = member(run.name).build(
                run.recipe, dataset.competition.image_px, len(dataset.classes)
            )
            hours[run.name] = devices.estimated_hours(network, run.recipe, images)
    parts = ", ".join(f"{name} about {h:.0f} h" for name, h in hours.items())
    total = sum(hours[run.name] for run in runs)
    return (
        f"no GPU here: the full preset would take {parts}; {total:.0f} h in all. "
        "Use --preset cpu (make train-all PRESET=cpu), or --yes to train it all the same."
    )


class RichProgress:
    """Progress on standard error: a bar over a run's steps, a line after each epoch."""

    def __init__(self) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            speed_estimate_period=600,
        )
        self.task = self.bar.add_task("", total=None, rate="", visible=False)
        self.title, self.epochs_before = "", {"head": 0, "whole": 0}
        self.total_epochs, self.batch = 0, 0
        self.started, self.steps_at_start = 0.0, -1

    def __enter__(self) -> "RichProgress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def begin(self, run: Run) -> None:
        """A run's turn."""
        self.title = f"{run.run} fold {run.fold}"
        before, self.epochs_before = 0, {}
        for name, phase in phases(run.recipe):
            self.epochs_before[name] = before
            before += phase.epochs
        self.total_epochs, self.batch = before, run.recipe.batch
        self.steps_at_start = -1
        self.bar.reset(self.task, description=self.title, visible=True, rate="", total=None)

    def say(self, text: str) -> None:
        """A line that is not worth keeping on the screen."""
        self.bar.update(self.task, rate=text)
        if not console.is_terminal:
            console.print(text, highlight=False, soft_wrap=True)

    def step(self, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """Move the bar; the total counts every phase's epochs, early stopping aside."""
        done_steps = (self.epochs_before[phase] + epoch) * steps + step
        now = time.perf_counter()
        if self.steps_at_start < 0:
            self.steps_at_start, self.started = done_steps, now
            self.bar.reset(
                self.task, total=self.total_epochs * steps, completed=done_steps, rate=""
            )
        rate = (done_steps - self.steps_at_start) * self.batch / max(now - self.started, 1e-9)
        self.bar.update(
            self.task,
            completed=done_steps,
            description=f"{self.title} {phase} epoch {epoch + 1}/{epochs}",
            rate=f"{rate:.0f} images/s",
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Print the epoch's row."""
        console.print(
            f"{self.title} {row['phase']} epoch {row['epoch']:3d}  "
            f"{row['images_per_s']:.0f} images/s  loss {row['loss']:.4f}  "
            f"inner clean {row['inner_clean_accuracy']:.4f} ({row['inner_clean_loss']:.4f})  "
            f"shifted {row['inner_shifted_accuracy']:.4f} ({row['inner_shifted_loss']:.4f})",
            highlight=False,
            soft_wrap=True,
        )
