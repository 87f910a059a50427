"""One run from recipe to DONE: build, fit, export, predict, report."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from cells.augment import augmented_once
from cells.contact_sheet import contact_sheet
from cells.dataset import Dataset
from cells.errors import RecipeError, RunError
from cells.files import write_json
from cells.folds import inner_rows
from cells.policy import Policy
from trainers import devices
from trainers.batches import training_batches
from trainers.catalog import member
from trainers.export import write_member
from trainers.fit import fit
from trainers.keeper import Progress, TrainingData
from trainers.masks import draw_masks
from trainers.offline import offline_images
from trainers.predict import predict_run
from trainers.pretrained import load_pretrained, resolve
from trainers.recipe import Recipe
from trainers.report import draw_curves, per_class
from trainers.runs import Run, done


def build_network(
    module: ModuleType, recipe: Recipe, image_px: int, classes: int, weights_file: Path | None
) -> keras.Model:
    """The member's network in this machine's precision, pretrained when the recipe says so."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(devices.precision(recipe))
    try:
        network = module.build(recipe, image_px, classes)
    finally:
        keras.config.set_dtype_policy(before)
    if recipe.weights == "imagenet":
        load_pretrained(network, recipe.name, resolve(recipe.name, weights_file))
    return network


def check_recipe(recipe: Recipe, image_px: int, classes: int) -> None:
    """Build the member's network once and throw it away, so that a fault shows before hours do.

    Raises RecipeError for a field that the network cannot use, for no stages where the trainer
    builds its own, and for other widths or depths than those of the pretrained weights that the
    recipe asks for.
    """
    module = member(recipe.name)
    own = module.RECIPE
    if recipe.weights != "none" and (recipe.widths, recipe.depths) != (own.widths, own.depths):
        raise RecipeError(
            f"{recipe.name}: pretrained weights: expected widths {own.widths} and depths "
            f"{own.depths}, got {recipe.widths} and {recipe.depths}. Leave both as they are, or "
            "train from scratch with --set weights=none."
        )
    if own.widths and not recipe.widths:
        raise RecipeError(
            f"{recipe.name}: widths and depths: expected one of each per stage, got no stage."
        )
    module.build(recipe, image_px, classes)
    keras.backend.clear_session()


def train_run(
    run: Run,
    dataset: Dataset,
    progress: Progress,
    weights_file: Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Train one fold of one run, or go on where it was interrupted; returns what DONE says.

    A finished run is returned as it is. callbacks: for Keras, beside our own.
    """
    finished = done(run.folder)
    if finished is not None:
        progress.say(f"{run.run} fold {run.fold}: finished before")
        (run.folder / "checkpoint.h5").unlink(missing_ok=True)
        if not _is_whole(run.folder / "report.json"):
            report_run(run.folder, dataset, progress.say)
        return finished
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "DONE").unlink(missing_ok=True)
    run.write_recipe(dataset)
    checkpoint = run.folder / "checkpoint.h5"
    started = time.perf_counter()
    keras.utils.set_random_seed(run.seed)
    resumed = checkpoint.is_file()
    data = training_data(dataset, run.fold, run.recipe, run.seed, progress.say)
    if not resumed:
        progress.say(f"{run.run} fold {run.fold}: {len(data.labels)} training images")
        _draw_batches(run, data, dataset)
        if run.recipe.mask:
            _draw_masks(run, data, dataset)
    with devices.scope():
        network = build_network(
            member(run.name),
            # what a checkpoint holds replaces the pretrained weights anyway
            run.recipe.model_copy(update={"weights": "none"}) if resumed else run.recipe,
            dataset.competition.image_px,
            len(dataset.classes),
            weights_file,
        )
        history = fit(network, run.recipe, data, run.seed, checkpoint, progress, started, callbacks)
    return _finish(run, dataset, network, history, progress)


def training_data(
    dataset: Dataset,
    fold: int,
    recipe: Recipe,
    seed: int,
    say: Callable[[str], None] = lambda text: None,
) -> TrainingData:
    """Training rows without the inner ones, which come clean, shifted and perhaps augmented.

    Training rows that the recipe wants augmented once come from work/augmented/, where they are
    made if they are not there.
    """
    learn, inner = split_rows(dataset, fold, recipe, seed)
    images, labels = dataset.images(learn), dataset.labels[learn]
    classes, count = len(dataset.classes), recipe.offline_images
    if count is not None:
        folder = dataset.path.parent / "augmented"
        images, labels = offline_images(folder, images, labels, classes, count, recipe, seed, say)
    inner_clean = dataset.images(inner)
    return TrainingData(
        images=images,
        labels=labels,
        inner_clean=inner_clean,
        inner_shifted=dataset.shifted(inner),
        inner_labels=dataset.labels[inner],
        classes=classes,
        inner_augmented=_inner_augmented(inner_clean, recipe, seed),
    )


def split_rows(
    dataset: Dataset, fold: int, recipe: Recipe, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and inner rows, both (n,) int64. Raises RunError when there are none."""
    rows = dataset.train_rows(fold)
    inner = inner_rows(
        dataset.labels, dataset.group, rows, np.random.default_rng(seed), recipe.inner_fraction
    )
    learn = np.setdiff1d(rows, inner)
    if not len(learn):
        raise RunError("no training rows are left. Prepare an archive with more images.")
    return learn, inner


def _inner_augmented(images: np.ndarray, recipe: Recipe, seed: int) -> np.ndarray | None:
    """The inner rows by RandAugment at the recipe's own rate and magnitude; None at rate 0."""
    if not recipe.inner_rand_augment.rate:
        return None
    policy = Policy(
        flip=0,
        rand_augment=recipe.inner_rand_augment,
        rand_augment_ops=recipe.policy.rand_augment_ops,
        rand_augment_stddev=recipe.policy.rand_augment_stddev,
    )
    return augmented_once(images, policy, seed)


def _draw_batches(run: Run, data: TrainingData, dataset: Dataset) -> None:
    """batches.png: a batch as the network receives it, each image with its shares of classes."""
    batch = min(48, run.recipe.batch, len(data.labels))
    batches = training_batches(
        data.images[:2048], data.labels[:2048], data.classes, run.recipe, batch, run.seed, 0
    )
    images, labels, _ = next(iter(batches))
    titles = []
    for row in labels.numpy():
        parts = [(share, name) for share, name in zip(row, dataset.classes, strict=True)]
        titles.append(
            "\n".join(
                name if share > 0.995 else f"{share:.0%} {name}"
                for share, name in sorted(parts, reverse=True)[:2]
                if share > 0.005
            )
        )
    contact_sheet(
        run.folder / "batches.png",
        images.numpy().astype(np.uint8),
        titles,
        columns=12,
        heading=f"{run.run}: a batch as the network receives it",
    )


def _draw_masks(run: Run, data: TrainingData, dataset: Dataset) -> None:
    """masks.png: inner images of each class beside what the network's mask leaves of them."""
    draw_masks(
        run.folder / "masks.png",
        data.inner_clean,
        data.inner_shifted,
        data.inner_labels,
        dataset.classes,
        f"{run.run}: the cell alone, as the network sees it",
    )


def _finish(
    run: Run,
    dataset: Dataset,
    network: keras.Model,
    history: list[dict[str, Any]],
    progress: Progress,
) -> dict[str, Any]:
    """Export, predict, report; then DONE, and only then the checkpoint goes."""
    started = time.perf_counter()
    draw_curves(run.folder / "curves.png", history, f"{run.run}, fold {run.fold}")
    write_member(
        run.folder / "member.h5",
        network,
        {
            "name": run.name,
            "run": run.run,
            "fold": run.fold,
            "classes": dataset.classes,
            "image_px": dataset.competition.image_px,
            "data_fingerprint": dataset.fingerprint,
            "recipe_fingerprint": run.recipe_fingerprint,
        },
        run.recipe.storage,
    )
    report = report_run(run.folder, dataset, progress.say)
    trained = sum(row["seconds"] for row in history)
    shown = sum(row["seconds"] * row["images_per_s"] for row in history)
    summary = {
        "run": run.run,
        "name": run.name,
        "fold": run.fold,
        "clean_accuracy": report["clean"]["accuracy"],
        "shifted_accuracy": report["shifted"]["accuracy"],
        "epochs": len(history),
        "seconds": round(history[-1]["elapsed_s"] + time.perf_counter() - started, 1),
        "images_per_s": round(shown / trained, 1),
    }
    write_json(run.folder / "DONE", summary)
    (run.folder / "checkpoint.h5").unlink(missing_ok=True)
    return summary


def _is_whole(path: Path) -> bool:
    """Whether a JSON file is there and can be read."""
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def report_run(folder: Path, dataset: Dataset, say: Callable[[str], None]) -> dict[str, Any]:
    """Predictions of a member in a run's folder, and report.json: its scores by class."""
    held_out = predict_run(folder, dataset, say)
    report = {
        part: per_class(held_out["labels"], held_out[part], dataset.classes)
        for part in ("clean", "shifted")
    }
    write_json(folder / "report.json", report)
    return report
