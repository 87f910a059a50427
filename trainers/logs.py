"""What a training writes besides history.csv: TensorBoard's files, MLflow, Weights & Biases.

The latter two are no dependencies of ours; installed, their own Keras callbacks get the rows, and
where they log to is said by their own environment variables.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras

from cells.errors import RecipeError
from trainers.differences import flat
from trainers.follow import Log
from trainers.report import read_history
from trainers.runs import Run

SCALARS = {  # column of history.csv: TensorBoard's name, charts grouped by what stands before /
    "loss": "loss/training",
    "inner_clean_loss": "loss/inner_clean",
    "inner_shifted_loss": "loss/inner_shifted",
    "inner_augmented_loss": "loss/inner_augmented",
    "inner_clean_accuracy": "accuracy/inner_clean",
    "inner_shifted_accuracy": "accuracy/inner_shifted",
    "inner_augmented_accuracy": "accuracy/inner_augmented",
    "learning_rate": "learning_rate",
    "images_per_s": "images_per_s",
}
PARAMETERS_AT_ONCE = 100  # as many as an MLflow server takes


class TensorBoard(Log):
    """Event files in logs/tensorboard; each sitting writes them anew, from the first epoch on.

    So no step is doubled and none is missing, wherever the last sitting was interrupted.
    """

    kind = "tensorboard"
    writer: Any = None
    began = 0.0  # when the training would have begun, had it never been interrupted

    def open(self) -> None:
        """The file itself waits for the first row: until then the old one stays."""
        self.handed.epochs = 0

    def epoch(self, epoch: int, row: dict[str, Any]) -> None:
        """A row's scalars, each at the time when the epoch ended."""
        if self.writer is None:
            self._begin_file()
        for key in row.keys() & SCALARS.keys():
            self.writer.add_scalar(
                SCALARS[key], row[key], epoch, wall_time=self.began + row["elapsed_s"]
            )

    def _begin_file(self) -> None:
        from tensorboard.summary import Writer

        folder, history = self.folder / "tensorboard", self.run.folder / "history.csv"
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self.began = history.stat().st_mtime - read_history(history)[-1]["elapsed_s"]
        self.writer = Writer(str(folder))

    def settle(self, row: dict[str, Any]) -> None:
        """On disk, a TensorBoard that runs sees it."""
        self.writer.flush()

    def scores(self, scores: dict[str, float]) -> None:
        """At the step of the last epoch."""
        for key, value in scores.items():
            self.writer.add_scalar(key.replace("held_out_", "held_out/"), value, self.handed.epochs)

    def close(self, whole: bool) -> None:
        """Close the file, if there was anything to write."""
        if self.writer is not None:
            self.writer.close()


class MLflow(Log):
    """A run in MLflow's experiment bcsub, unless MLFLOW_EXPERIMENT_NAME says another."""

    kind = "mlflow"

    @staticmethod
    def check() -> None:
        """Import it."""
        import mlflow.keras  # noqa: F401

    def open(self) -> None:
        """Go on with a run, or begin one with the recipe as its parameters."""
        import mlflow
        from mlflow.keras import MlflowCallback

        if not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
            mlflow.set_experiment("bcsub")
        if self.handed.id:
            mlflow.start_run(run_id=self.handed.id)
        else:
            self.handed.id = mlflow.start_run(run_name=title(self.run)).info.run_id
            known = list(parameters(self.run).items())
            for start in range(0, len(known), PARAMETERS_AT_ONCE):
                mlflow.log_params(dict(known[start : start + PARAMETERS_AT_ONCE]))
            self.remember()
        self.callback = MlflowCallback()

    def epoch(self, epoch: int, row: dict[str, Any]) -> None:
        """A metric for every number of the row."""
        self.callback.on_epoch_end(epoch, numbers(row))

    def settle(self, row: dict[str, Any]) -> None:
        """The callback queues, and keeps its faults to itself: ask for what has arrived."""
        import mlflow

        mlflow.flush_async_logging()
        arrived = mlflow.get_run(self.handed.id).data.metrics.get("loss")
        if arrived != row["loss"]:
            raise ConnectionError(f"loss: expected {row['loss']} in MLflow, got {arrived}")

    def scores(self, scores: dict[str, float]) -> None:
        """Metrics at the step of the last epoch."""
        import mlflow

        mlflow.log_metrics(scores, step=self.handed.epochs)

    def close(self, whole: bool) -> None:
        """What was interrupted goes on in the same run of MLflow's."""
        import mlflow

        mlflow.end_run("FINISHED" if whole else "KILLED")


class WeightsAndBiases(Log):
    """A run in the project bcsub of Weights & Biases, unless WANDB_PROJECT says another."""

    kind = "wandb"

    @staticmethod
    def check() -> None:
        """Import it."""
        import wandb.integration.keras  # noqa: F401

    def open(self) -> None:
        """Go on with a run, or begin one with the recipe as its config."""
        import wandb
        from wandb.integration.keras import WandbMetricsLogger

        self.folder.mkdir(parents=True, exist_ok=True)
        self.their_run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "bcsub"),
            dir=os.environ.get("WANDB_DIR", str(self.folder)),
            name=title(self.run),
            group=self.run.run,
            config=parameters(self.run),
            id=self.handed.id or None,
            resume="allow",
        )
        self.handed.id = self.their_run.id
        self.remember()
        self.callback = WandbMetricsLogger()

    def epoch(self, epoch: int, row: dict[str, Any]) -> None:
        """A metric epoch/… for every number of the row."""
        import tensorflow as tf

        # it asks a network for the learning rate: that of the row, which may be an old one
        rate = tf.constant(row["learning_rate"])
        self.callback.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=rate)))
        self.callback.on_epoch_end(epoch, numbers(row))

    def scores(self, scores: dict[str, float]) -> None:
        """Into the summary, by which runs are compared there."""
        self.their_run.summary.update(scores)

    def close(self, whole: bool) -> None:
        """What was interrupted goes on in the same run of theirs."""
        self.their_run.finish(exit_code=0 if whole else 1)


KINDS: dict[str, type[Log]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}


def chosen(words: Sequence[str]) -> list[str]:
    """Kinds of logs that `--log` asks for: TensorBoard unless said, none for "none" alone.

    Raises RecipeError for a kind that there is not, or that is not installed.
    """
    if list(words) == ["none"]:
        return []
    kinds = list(dict.fromkeys(words or ["tensorboard"]))
    for kind in kinds:
        if kind not in KINDS:
            raise RecipeError(f"--log: expected {', '.join(KINDS)}, or none alone, got {kind!r}.")
        try:
            KINDS[kind].check()
        except ImportError as error:
            raise RecipeError(
                f"--log {kind}: not installed ({error}). `pip install {kind}`, or train without it."
            ) from None
    return kinds


@contextmanager
def following(
    run: Run, kinds: Sequence[str], say: Callable[[str], None]
) -> Iterator[list[keras.callbacks.Callback]]:
    """Keras callbacks that log the training inside; a run finished before is logged as it is.

    kinds: of KINDS. say: gets a line when a log fails; the training goes on.
    Raises RunError when a log cannot begin.
    """
    logs = [KINDS[kind](run, say) for kind in kinds]
    try:
        for log in logs:
            log.begin()
        yield list(logs)
    finally:
        for log in logs:
            log.end()


def title(run: Run) -> str:
    """What a run is called where it is logged."""
    return f"{run.run}/fold-{run.fold}"


def parameters(run: Run) -> dict[str, Any]:
    """The recipe with dotted names, and what else makes a run."""
    about = {"preset": run.preset, "fold": run.fold, "seed": run.seed, "tag": run.tag or "none"}
    return {**flat(run.recipe.model_dump()), **about, "data_fingerprint": run.data_fingerprint}


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """Those columns of a row that can be drawn; an epoch's number within its phase cannot."""
    return {key: value for key, value in row.items() if key not in ("phase", "epoch")}
