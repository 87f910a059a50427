"""All runs on disk, whatever state they are in: what `bcsub members` shows.

It reads folders as they are: also those of an older version, of another dataset, or damaged.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cells.dataset import Dataset, open_dataset
from cells.errors import BcsubError, DatasetError
from ensemble.runs import fold_folders, member_fault, read_recipe
from trainers.catalog import member
from trainers.differences import Differences, from_shipped
from trainers.recipe import overridden, with_preset
from trainers.runs import Run
from trainers.standing import Standing, standing

# The worst state of its folds is the run's.
STATES = ("finished", "unfinished", "stale", "damaged")


def list_members(root: Path) -> dict[str, Any]:
    """{"members": one dict a run, by name; "dataset": its fingerprint, None without one}.

    A run's accuracies and epochs are means over its finished folds, minutes and size sums.
    """
    try:
        dataset = open_dataset(root / "work" / "dataset.h5")
    except DatasetError:
        dataset = None
    runs: dict[str, list[Path]] = {}
    for folder in fold_folders(root / "runs"):
        runs.setdefault(folder.parent.name, []).append(folder)
    return {
        "members": [_run(name, folders, dataset) for name, folders in runs.items()],
        "dataset": dataset.fingerprint if dataset else None,
    }


def _run(name: str, folders: list[Path], dataset: Dataset | None) -> dict[str, Any]:
    folds = [_fold(folder, dataset) for folder in folders]
    about: dict[str, Any] = next((fold["about"] for fold in folds if fold["about"]), {})
    different = _differences(about)
    command = None
    if any(fold["state"] == "unfinished" for fold in folds):
        command = _command(name, about, different, len(folds), folders[0].parents[2])
    for fold in folds:
        del fold["about"]
    return {
        "run": name,
        "name": about.get("name"),
        "preset": about.get("preset"),
        "seed": about.get("seed"),
        "tag": about.get("tag"),
        "state": max((fold["state"] for fold in folds), key=STATES.index),
        "clean_accuracy": _mean(folds, "clean_accuracy"),
        "shifted_accuracy": _mean(folds, "shifted_accuracy"),
        "epochs": _mean(folds, "epochs"),
        "minutes": _sum(folds, "minutes"),
        "size_mb": _sum(folds, "size_mb"),
        "differences": different.changed,
        "differences_text": str(different),
        "gone_fields": list(different.gone),
        "new_fields": list(different.new),
        "not_honest": about.get("held_out_said") if _not_honest(about) else None,
        "folds": folds,
        "command": command,
    }


def _not_honest(about: Mapping[str, Any]) -> bool:
    """Whether an adopted model may have learnt from the rows that it is scored on."""
    return about.get("held_out", "unseen") != "unseen"


def _fold(folder: Path, dataset: Dataset | None) -> dict[str, Any]:
    """One fold: its state, why it is not finished, and its figures; "about" is its recipe.json."""
    about: dict[str, Any] = {}
    state, detail = "finished", ""
    scores: dict[str, Any] = {}
    try:
        about = read_recipe(folder)
        epochs = _epochs(about)
        stands = standing(folder, epochs)
        scores = stands.summary or {}
        if dataset is not None and about["data_fingerprint"] != dataset.fingerprint:
            state, detail = "stale", f"of dataset {about['data_fingerprint']}, not this one"
        elif stands.summary is None:
            state, detail = "unfinished", _stopped(stands, epochs)
        elif dataset is not None:
            detail = member_fault(folder, dataset) or ""
            state = "damaged" if detail else state
    except BcsubError as error:
        state, detail = "damaged", str(error)
    size = folder / "member.h5"
    return {
        "fold": int(folder.name.removeprefix("fold-")) if folder.name[5:].isdigit() else None,
        "state": state,
        "detail": detail,
        "clean_accuracy": scores.get("clean_accuracy"),
        "shifted_accuracy": scores.get("shifted_accuracy"),
        "epochs": scores.get("epochs"),
        "minutes": round(scores["seconds"] / 60, 1) if "seconds" in scores else None,
        "size_mb": round(size.stat().st_size / 1e6, 2) if size.is_file() else None,
        "about": about,
    }


def _stopped(stands: Standing, epochs: Mapping[str, int]) -> str:
    """Where an unfinished fold stopped, of how many epochs; epochs: of each phase, at most."""
    if stands.place:
        return f"stopped at {stands.place}"
    if not epochs:
        return "stopped before an epoch ended"
    phase, count = next(iter(epochs.items()))
    of_phase = f" of phase {phase}" if len(epochs) > 1 else ""
    return f"stopped before epoch 1 of {count}{of_phase} ended"


def _epochs(about: Mapping[str, Any]) -> dict[str, int]:
    """Epochs of each phase that a stored recipe trains; of an older version's, what it says."""
    recipe = about.get("recipe") or {}
    names = ("head", "whole") if recipe.get("weights", "none") != "none" else ("whole",)
    return {name: recipe[name].get("epochs", 0) for name in names if recipe.get(name)}


def _differences(about: Mapping[str, Any]) -> Differences:
    if not about.get("recipe"):
        return Differences()
    return from_shipped(str(about["name"]), str(about["preset"]), about["recipe"])


def _command(
    run: str, about: Mapping[str, Any], different: Differences, folds: int, root: Path
) -> str | None:
    """The `bcsub train` that goes on with a run; None where today's code would make another."""
    words = ["bcsub", "train", about["name"], "--preset", about["preset"]]
    try:
        module = member(about["name"])
        shipped = with_preset(module.RECIPE, module.PRESETS, about["preset"])
        recipe = overridden(shipped, different.settings)
    except BcsubError:
        return None
    same = Run(
        runs=root / "runs",
        name=about["name"],
        preset=about["preset"],
        recipe=recipe,
        seed=about.get("seed", 0),
        tag=about.get("tag", ""),
        fold=0,
        data_fingerprint=about["data_fingerprint"],
        weights_sha256=about.get("weights_sha256", ""),
    )
    if same.run != run:
        return None
    words += ["--folds", str(folds)] if folds > 1 else []
    words += ["--seed", str(same.seed)] if same.seed else []
    words += ["--tag", same.tag] if same.tag else []
    words += [word for setting in different.settings for word in ("--set", setting)]
    words += ["--weights", "FILE"] if same.weights_sha256 else []
    words += ["--root", str(root)] if root != Path(".") else []
    return shlex.join(words)


def _mean(folds: list[dict[str, Any]], key: str) -> float | None:
    values = [fold[key] for fold in folds if fold[key] is not None]
    return sum(values) / len(values) if values else None


def _sum(folds: list[dict[str, Any]], key: str) -> float | None:
    values = [fold[key] for fold in folds if fold[key] is not None]
    return round(sum(values), 2) if values else None
