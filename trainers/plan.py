"""What a training would do, without doing it: nothing is written and nothing downloaded."""

import os
from pathlib import Path
from typing import Any

from cells.dataset import Dataset
from trainers import devices
from trainers.differences import from_shipped
from trainers.fit import phases
from trainers.pretrained import cached_file, stock_of
from trainers.runs import Run
from trainers.sampling import epoch_images
from trainers.standing import standing
from trainers.train import split_rows


def plan(run: Run, dataset: Dataset, weights_file: Path | None = None) -> dict[str, Any]:
    """A row of `bcsub train --dry-run`.

    state: new, begun or finished. next_epoch: counted over all phases, from 1; None when finished.
    images: learnt from in an epoch. steps: of an epoch. epochs: of each phase, at most. weights:
    where the pretrained ones come from. differences: dotted fields that are not as shipped.
    """
    epochs = {name: phase.epochs for name, phase in phases(run.recipe)}
    stands = standing(run.folder, epochs)
    learn = split_rows(dataset, run.fold, run.recipe, run.seed)[0]
    online = epoch_images(dataset.labels[learn], len(dataset.classes), run.recipe.oversample)
    images = run.recipe.offline_images or online
    batch = min(run.recipe.batch, images)
    return {
        "run": run.run,
        "fold": run.fold,
        "state": stands.state,
        "next_epoch": None if stands.summary else stands.trained + 1,
        "images": images,
        "batch": batch,
        "steps": images // batch,
        "epochs": epochs,
        "precision": devices.precision(run.recipe),
        "device": ", ".join(devices.gpus()) or f"CPU, {os.cpu_count()} cores",
        "weights": _weights(run, weights_file),
        "differences": from_shipped(run.name, run.preset, run.recipe.model_dump()).changed,
    }


def _weights(run: Run, given: Path | None) -> str:
    """Where a run's first weights come from."""
    if (run.folder / "checkpoint.h5").is_file():
        return "checkpoint"
    if run.recipe.weights == "none":
        return "none"
    path = given or cached_file(stock_of(run.name))
    return str(path) if path.is_file() else f"would be downloaded to {path}"
