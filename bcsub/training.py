"""Which runs a `bcsub train` means, what it would do with them, and doing it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from bcsub.console import progress as console
from bcsub.console import say
from bcsub.live import RunsProgress, progress_over
from bcsub.quiet import import_tensorflow
from cells.asked import asked_before
from cells.dataset import Dataset, open_dataset
from cells.errors import DatasetError, RecipeError
from ensemble.runs import stale_folders
from trainers import devices, logs
from trainers.catalog import member, members_with
from trainers.plan import plan
from trainers.predict import predict_run
from trainers.pretrained import own_sha256, resolve
from trainers.recipe import Recipe, overridden, with_preset
from trainers.runs import Run, done
from trainers.train import check_recipe, train_run
from trainers.trial import Trial, advice, in_words, trial

LONG_H = 0.05  # of a fold by arithmetic, which leaves much out: on two cores ten minutes


@dataclass(frozen=True)
class Asked:
    """What the options of `bcsub train` name. names: members; none, all that have the preset."""

    root: Path
    names: list[str]
    preset: str
    folds: int = 1
    seed: int = 0
    tag: str = ""
    settings: Sequence[str] = ()
    weights_file: Path | None = None

    def runs(self, dataset: Dataset) -> list[Run]:
        """The runs meant, fold by fold. Raises BcsubError for what cannot be meant."""
        if self.folds > dataset.folds:
            before = asked_before(self.root / "work")
            again = replace(before, folds=self.folds, shares="")
            raise DatasetError(
                f"--folds: expected at most the dataset's {dataset.folds}, got {self.folds}. "
                f"Run `{again.command()}`."
            )
        if not self.tag.replace("-", "").replace("_", "").isalnum() and self.tag:
            raise RecipeError(f"--tag: expected letters, digits, - and _, got {self.tag!r}.")
        recipes: dict[str, Recipe] = {}
        for name in dict.fromkeys(self.names or members_with(self.preset)):
            module = member(name)
            shipped = with_preset(module.RECIPE, module.PRESETS, self.preset)
            recipes[name] = overridden(shipped, list(self.settings))
        own_weights = _own_weights(recipes, self.weights_file)
        return [
            Run(
                runs=self.root / "runs",
                name=name,
                preset=self.preset,
                recipe=recipe,
                seed=self.seed,
                tag=self.tag,
                fold=fold,
                data_fingerprint=dataset.fingerprint,
                weights_sha256=own_weights.get(name, ""),
            )
            for name, recipe in recipes.items()
            for fold in range(self.folds)
        ]


def train_members(
    asked: Asked, log: Sequence[str], despite_cpu: bool, measure: bool
) -> list[dict[str, Any]]:
    """Train every run that is asked for; returns what each DONE says.

    log: as in `trainers.logs.chosen`. measure: say beforehand how long it will take, if long.
    Raises RecipeError when a full preset would run without a GPU and `despite_cpu` is not said; the
    text says what it would take.
    """
    kinds = logs.chosen(log)
    dataset = open_dataset(asked.root / "work" / "dataset.h5")
    runs = asked.runs(dataset)
    _quieten()
    waiting = [run for run in runs if done(run.folder) is None]
    if asks_for_yes(asked, waiting) and not despite_cpu:
        raise RecipeError(_what_it_would_take(waiting, dataset))
    _check_recipes(waiting, dataset)
    files = _weights_files(waiting, asked.weights_file)
    new = [run for run in waiting if not (run.folder / "checkpoint.h5").is_file()]
    if measure and new and max(_rough_hours(new, dataset).values()) > LONG_H:
        _trials(new, dataset)
    with progress_over(runs, console) as progress:
        return [_one(run, dataset, progress, files.get(run.name), kinds) for run in runs]


def plan_members(
    asked: Asked, log: Sequence[str], despite_cpu: bool, measure: bool
) -> dict[str, Any]:
    """What `train_members` would do, run by run and in its order; nothing is written.

    measure: try a few steps of each member, unless the training would first ask for --yes.
    Raises what it would raise before it trains, but for missing files of pretrained weights and
    for a full preset without a GPU and without `despite_cpu`, which is told in `asks_for_yes`.
    """
    logs.chosen(log)
    dataset = open_dataset(asked.root / "work" / "dataset.h5")
    runs = asked.runs(dataset)
    _quieten()
    waiting = [run for run in runs if done(run.folder) is None]
    _check_recipes(waiting, dataset)
    asks = asks_for_yes(asked, waiting) and not despite_cpu
    trials = _trials(waiting, dataset) if measure and not asks else {}
    rows = [plan(run, dataset, asked.weights_file) for run in runs]
    for row, run in zip(rows, runs, strict=True):
        found = trials.get(run.name) if row["state"] != "finished" else None
        row["minutes"] = round(found.seconds / 60, 1) if found else None
        row["memory_mb"] = round(found.peak_mb) if found else None
    return {"runs": rows, "asks_for_yes": asks}


def asks_for_yes(asked: Asked, waiting: list[Run]) -> bool:
    """Whether a training would take days on this machine, and only starts with --yes."""
    return asked.preset == "full" and bool(waiting) and not devices.gpus()


def _quieten() -> None:
    """KerasCV's layers warn of every operation that they loop over, a dozen lines for each."""
    tf.get_logger().setLevel("ERROR")


def _check_recipes(runs: list[Run], dataset: Dataset) -> None:
    for recipe in {run.name: run.recipe for run in runs}.values():
        check_recipe(recipe, dataset.competition.image_px, len(dataset.classes))


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
    run: Run,
    dataset: Dataset,
    progress: RunsProgress,
    weights_file: Path | None,
    kinds: Sequence[str],
) -> dict[str, Any]:
    progress.begin(run)
    with logs.following(run, kinds, progress.say) as callbacks:
        summary = train_run(run, dataset, progress, weights_file, callbacks)
    progress.end(summary)
    return summary


def _trials(runs: list[Run], dataset: Dataset) -> dict[str, Trial]:
    """A few measured steps of each member, told with a colleague's advice; by name."""
    found: dict[str, Trial] = {}
    for name, run in {run.name: run for run in reversed(runs)}.items():
        say(f"{name}: measuring a few steps")
        found[name] = trial(run, dataset, import_tensorflow)
        say(f"{name}: {in_words(found[name])}")
        for line in advice(found[name], run.recipe, bool(devices.gpus())):
            say(f"{name}: {line}")
    return found


def _rough_hours(runs: list[Run], dataset: Dataset) -> dict[str, float]:
    """Hours that a fold of each member takes, by arithmetic."""
    px, classes = dataset.competition.image_px, len(dataset.classes)
    images = len(dataset.train_rows(0))
    hours: dict[str, float] = {}
    for name, run in {run.name: run for run in reversed(runs)}.items():
        network = member(name).build(run.recipe, px, classes)
        hours[name] = devices.estimated_hours(network, run.recipe, images)
    return hours


def _what_it_would_take(runs: list[Run], dataset: Dataset) -> str:
    hours = _rough_hours(runs, dataset)
    parts = ", ".join(f"{name} about {_length(h)}" for name, h in hours.items())
    total = sum(hours[run.name] for run in runs)
    return (
        f"no GPU here: the full preset would take {parts}; {_length(total)} in all. "
        "Use --preset cpu (make train-all PRESET=cpu), or --yes to train it all the same."
    )


def _length(hours: float) -> str:
    return f"{hours:.0f} h" if hours >= 1 else f"{max(1, hours * 60):.0f} min"
