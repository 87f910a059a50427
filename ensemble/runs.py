"""Finished runs, found on disk and checked against the dataset and against their own model.

Predictions that no longer fit their member.h5 are made again by a callable that is passed in,
since this room knows no trainer.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cells.dataset import Dataset
from cells.errors import EnsembleError
from ensemble.members import VIEW_NAMES, FoldModel, Member
from submission.model import FORMAT, OPS, RUNTIME_VERSION

Remake = Callable[[Path, Dataset], None]
Report = Callable[[str], None]
_PROBS = ("clean", "shifted", "test_clean", "test_shifted")
_OF_A_RECIPE = ("name", "preset", "fold", "data_fingerprint")


def find_members(
    runs: Path,
    dataset: Dataset,
    wanted: Iterable[str] = (),
    preset: str | None = None,
    *,
    remake: Remake,
    report: Report,
) -> list[Member]:
    """Finished runs under the folder `runs`, checked against the dataset, by name.

    wanted: runs, or members' names (all their runs); nothing means every finished run. preset:
    only runs of that preset. remake(fold folder, dataset) makes predictions.h5 again where it is
    stale. Unfinished folds, and runs of another dataset that were not named one by one, are told
    to `report` and left out.
    Raises EnsembleError when nothing is left, or a run does not fit.
    """
    wanted = list(dict.fromkeys(wanted))
    found = _select(_finished(runs, report), wanted, preset, runs)
    members = []
    for run, folders in found.items():
        recipes = [read_recipe(folder) for folder in folders]
        strange = [r for r in recipes if r.get("data_fingerprint") != dataset.fingerprint]
        if strange:
            line = (
                f"{run}: expected predictions for dataset {dataset.fingerprint}, "
                f"got {strange[0].get('data_fingerprint')}."
            )
            if run in wanted:
                raise EnsembleError(f"{line} Train it again on this dataset.")
            report(f"{line} Left out.")
            continue
        models = tuple(_fold_model(folder, dataset, remake, report) for folder in folders)
        name, preset_of = (str(recipes[0][key]) for key in ("name", "preset"))
        members.append(Member(run, name, preset_of, models, _not_honest(recipes)))
    if not members:
        raise EnsembleError(
            f"{runs}: expected finished runs of dataset {dataset.fingerprint}, got none. "
            "Run `bcsub train NAME` first."
        )
    return members


def stale_folders(runs: Path, dataset: Dataset, report: Report) -> list[Path]:
    """Folders of finished folds on `dataset` whose predictions.h5 is missing or out of date."""
    stale = []
    for folder in (folder for folders in _finished(runs, report).values() for folder in folders):
        recipe = read_recipe(folder)
        if recipe.get("data_fingerprint") == dataset.fingerprint and _stale(
            folder, dataset, int(recipe["fold"]), _check_member(folder, dataset)
        ):
            stale.append(folder)
    return stale


def fold_folders(runs: Path) -> list[Path]:
    """Folders of all folds under `runs`, finished or not: by run, then by fold."""
    return sorted((path for path in runs.glob("*/fold-*") if path.is_dir()), key=_fold_key)


def member_fault(folder: Path, dataset: Dataset) -> str | None:
    """What is wrong with a finished fold's member.h5 on `dataset`; None when nothing is."""
    try:
        _check_member(folder, dataset)
    except EnsembleError as error:
        return str(error)
    return None


def _finished(runs: Path, report: Report) -> dict[str, list[Path]]:
    """Fold folders with a DONE and a member.h5, by run; what is unfinished is told."""
    found: dict[str, list[Path]] = {}
    for folder in fold_folders(runs):
        if not (folder / "recipe.json").is_file():
            continue
        if (folder / "DONE").is_file() and (folder / "member.h5").is_file():
            found.setdefault(folder.parent.name, []).append(folder)
        else:
            report(f"{_short(folder)}: not finished. Left out; `bcsub train` goes on with it.")
    return found


def _select(
    found: dict[str, list[Path]], wanted: list[str], preset: str | None, runs: Path
) -> dict[str, list[Path]]:
    """The runs that were asked for; a word that matches none is an error."""
    recipes = {run: read_recipe(folders[0]) for run, folders in found.items()}
    for word in wanted:
        if not any(word in (run, recipe.get("name")) for run, recipe in recipes.items()):
            raise EnsembleError(
                f"{word}: expected a finished run or a member's name, "
                f"got neither; finished in {runs}: {', '.join(found) or 'nothing'}."
            )
    chosen = {
        run: folders
        for run, folders in found.items()
        if (not wanted or run in wanted or recipes[run].get("name") in wanted)
        and preset in (None, recipes[run].get("preset"))
    }
    if found and preset is not None and not chosen:
        presets = sorted({str(recipe.get("preset")) for recipe in recipes.values()})
        raise EnsembleError(
            f"--preset: expected one of the finished runs' ({', '.join(presets)}), got {preset}."
        )
    return chosen


def _fold_model(folder: Path, dataset: Dataset, remake: Remake, report: Report) -> FoldModel:
    """Read one fold's model and predictions; stale predictions are made again once."""
    fold = int(read_recipe(folder)["fold"])
    fingerprint = _check_member(folder, dataset)
    fault = _stale(folder, dataset, fold, fingerprint)
    if fault:
        report(f"{_short(folder)}: {fault}. Predicting again.")
        remake(folder, dataset)
        fault = _stale(folder, dataset, fold, fingerprint)
        if fault:
            raise EnsembleError(f"{_short(folder)}: {fault}, also after predicting again.")
    with h5py.File(folder / "predictions.h5") as file:
        arrays = {key: file[key][:] for key in ("rows", *_PROBS)}
    for key in _PROBS:
        if not np.isfinite(arrays[key]).all():
            raise EnsembleError(
                f"{_short(folder)}: {key}: expected probabilities, got NaN or infinity. "
                "The training diverged: delete the run, or name the others."
            )
    return FoldModel(folder, fold, fingerprint, **arrays)


def _not_honest(recipes: list[dict[str, Any]]) -> str:
    """What an adopted run says of rows that it may have learnt from; "" when it saw none."""
    doubts = [r for r in recipes if r.get("held_out", "unseen") != "unseen"]
    return str(doubts[0].get("held_out_said", "held-out unknown")) if doubts else ""


def _check_member(folder: Path, dataset: Dataset) -> str:
    """Fingerprint of member.h5. Raises EnsembleError when it does not fit the dataset."""
    expected = {
        "kind": "member",
        "classes": list(dataset.classes),
        "image_px": dataset.competition.image_px,
        "data_fingerprint": dataset.fingerprint,
    }
    try:
        with h5py.File(folder / "member.h5") as file:
            attrs = _attrs(file)
            used = {step["op"] for step in json.loads(file["program"][()])["ops"]}
    except (OSError, KeyError, ValueError) as error:
        raise EnsembleError(
            f"{_short(folder)}/member.h5: missing or damaged ({error}). "
            "Delete the folder and train it again."
        ) from None
    for key, value in expected.items():
        if attrs.get(key) != value:
            raise EnsembleError(
                f"{_short(folder)}/member.h5: {key}: expected {value}, got {attrs.get(key)}. "
                "Delete the folder and train it again."
            )
    lacking = used - {*OPS, "batch_norm"}  # batch norms are folded away before anything runs
    if attrs.get("format") not in range(1, FORMAT + 1) or lacking:
        raise EnsembleError(
            f"{_short(folder)}/member.h5: expected format {FORMAT} or older, of the operations in "
            f"submission/model.py, got one of format {attrs.get('format')} with "
            f"{', '.join(sorted(lacking)) or 'these'}. Delete the folder and train it again."
        )
    if "member_fingerprint" not in attrs:
        raise EnsembleError(
            f"{_short(folder)}/member.h5: no fingerprint. Delete the folder and train it again."
        )
    return str(attrs["member_fingerprint"])


def _stale(folder: Path, dataset: Dataset, fold: int, fingerprint: str) -> str | None:
    """Why predictions.h5 does not belong to this member, dataset and runtime; None when it does."""
    expected = {
        "kind": "predictions",
        "format": 1,
        "member_fingerprint": fingerprint,
        "runtime_version": RUNTIME_VERSION,
        "data_fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "views": list(VIEW_NAMES),
    }
    rows = {"rows": dataset.held_out_rows(fold), "test_rows": dataset.test_rows()}
    try:
        with h5py.File(folder / "predictions.h5") as file:
            attrs = _attrs(file)
            for key, value in expected.items():
                if attrs.get(key) != value:
                    return f"predictions.h5: {key}: expected {value}, got {attrs.get(key)}"
            for key, value in rows.items():
                if not np.array_equal(file[key][:], value):
                    return f"predictions.h5: {key}: expected the dataset's, got others"
            for key in _PROBS:
                images = len(rows["test_rows" if key.startswith("test") else "rows"])
                shape = (images, len(VIEW_NAMES), len(dataset.classes))
                if file[key].shape != shape:
                    return f"predictions.h5: {key}: expected shape {shape}, got {file[key].shape}"
    except (OSError, KeyError, ValueError) as error:
        return f"predictions.h5: missing or damaged ({error})"
    return None


def _attrs(file: h5py.File) -> dict[str, Any]:
    """Attributes as plain Python values; lists are stored as JSON."""
    attrs = {
        key: value.item() if hasattr(value, "item") else value for key, value in file.attrs.items()
    }
    for key in ("classes", "views"):
        if key in attrs:
            attrs[key] = json.loads(attrs[key])
    return attrs


def read_recipe(folder: Path) -> dict[str, Any]:
    """recipe.json of a run's fold. Raises EnsembleError when it is damaged or lacks a field."""
    recipe = read_json(folder / "recipe.json")
    absent = [key for key in _OF_A_RECIPE if key not in recipe]
    if absent:
        raise EnsembleError(
            f"{folder / 'recipe.json'}: expected the fields {', '.join(_OF_A_RECIPE)}, "
            f"got none for {', '.join(absent)}. Delete its folder and train it again."
        )
    return recipe


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a run. Raises EnsembleError when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise EnsembleError(
            f"{path}: missing or damaged ({error}). Delete its folder and train it again."
        ) from None


def _fold_key(folder: Path) -> tuple[str, int, str]:
    """Runs by name, folds by number: fold-2 before fold-10."""
    number = folder.name.removeprefix("fold-")
    return folder.parent.name, int(number) if number.isdigit() else -1, number


def _short(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
