"""What happens around a step and after an epoch: the rate, the inner scores, the checkpoint."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from sklearn.metrics import accuracy_score, log_loss

from cells.errors import RunError
from trainers import backend, checkpoint
from trainers.batches import plain_batches
from trainers.recipe import Phase, Recipe
from trainers.report import write_history
from trainers.schedule import Watch, rate_at


class Progress(Protocol):
    """Who is told how a training goes."""

    def say(self, text: str) -> None:
        """One line about what is being done now."""

    def step(self, phase: str, epoch: int, epochs: int, step: int, steps: int) -> None:
        """After each batch; `step` of `steps` are done."""

    def epoch(self, row: dict[str, Any]) -> None:
        """After each epoch, with its row of the history."""


@dataclass(frozen=True)
class TrainingData:
    """Images (n, px, px, 3) uint8 and labels (n,) int64; the inner rows in two or three versions.

    labels are (n, classes) float32 where the images were augmented once (`trainers.offline`).
    inner_augmented: by RandAugment, where the recipe asks for it.
    """

    images: np.ndarray
    labels: np.ndarray
    inner_clean: np.ndarray
    inner_shifted: np.ndarray
    inner_labels: np.ndarray
    classes: int
    inner_augmented: np.ndarray | None = None

    @property
    def inner_versions(self) -> dict[str, np.ndarray]:
        """The inner rows by the name of the version: clean, shifted and perhaps augmented."""
        versions = {"clean": self.inner_clean, "shifted": self.inner_shifted}
        if self.inner_augmented is not None:
            versions["augmented"] = self.inner_augmented
        return versions


@dataclass
class Training:
    """What one training knows of itself, whatever phase it is in.

    batch: images a step of the optimiser. steps: of those an epoch. started: its clock's beginning,
    by time.perf_counter(). path: of the checkpoint. callbacks: the caller's own.
    """

    recipe: Recipe
    data: TrainingData
    state: checkpoint.State
    batch: int
    steps: int
    started: float
    path: Path
    progress: Progress
    callbacks: Sequence[keras.callbacks.Callback] = ()


class Keeper(keras.callbacks.Callback):
    """Sets the rate before a step; scores, remembers and saves after an epoch."""

    def __init__(self, name: str, phase: Phase, training: Training) -> None:
        super().__init__()
        self.name, self.phase, self.training = name, phase, training
        self.watch = Watch(**training.state.watch)
        self.at_epoch = training.state.epoch
        self.started = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Learn how the rate is set."""
        self.set_rate = backend.rate_setter(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the epoch's clock."""
        self.at_epoch, self.started = epoch, time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate; all parts of a batch have the same."""
        done = self.at_epoch + (batch // self.training.state.parts + 1) / self.training.steps
        rate = rate_at(self.phase, done, self.watch.reductions)
        self.set_rate(rate)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of each whole batch."""
        step, left = divmod(batch + 1, self.training.state.parts)
        if not left:
            epochs, steps = self.phase.epochs, self.training.steps
            self.training.progress.step(self.name, self.at_epoch, epochs, step, steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score the moving average on the inner rows, write the checkpoint, and perhaps stop."""
        seconds = time.perf_counter() - self.started
        training, state = self.training, self.training.state
        raw = [np.asarray(variable) for variable in self.model.trainable_variables]
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        backend.unshare(self.model.trainable_variables)
        scores = inner_scores(self.model, training.data, training.batch // state.parts)
        # not the training loss: under float16 the scaler skips a step that overflows
        loss = watched_loss(scores)
        if not math.isfinite(loss):
            self._diverged(epoch + 1)
        if self.watch.see(self.phase, epoch, loss):
            state.best = self.model.get_weights()
        for variable, value in zip(self.model.trainable_variables, raw, strict=True):
            variable.assign(value)
        row = {
            "phase": self.name,
            "epoch": epoch + 1,
            "seconds": round(seconds, 3),
            "images_per_s": round(training.steps * training.batch / seconds, 1),
            "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
            "loss": float((logs or {})["loss"]),
            **scores,
            "elapsed_s": round(time.perf_counter() - training.started, 3),
        }
        state.history.append(row)
        state.epoch, state.watch = epoch + 1, asdict(self.watch)
        checkpoint.save(training.path, state, self.model)
        write_history(training.path.with_name("history.csv"), state.history)
        training.progress.epoch(row)
        if self.watch.over(self.phase):
            self.model.stop_training = True

    def _diverged(self, epoch: int) -> None:
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        lower = f"--set {self.name}.peak_lr={self.phase.peak_lr / 3:.1g}"
        raise RunError(
            f"{self.training.path.parent}: phase {self.name}, epoch {epoch}: expected numbers, got "
            f"NaN or infinity at learning rate {rate:.2g}. The training diverged: train "
            f"{self.training.recipe.name} alone, with {lower}."
        )


def inner_scores(network: keras.Model, data: TrainingData, batch: int) -> dict[str, float]:
    """Log loss and accuracy on each version of the inner rows, by the history's names."""
    scores: dict[str, float] = {}
    for name, images in data.inner_versions.items():
        loss, accuracy = score(network, images, data.inner_labels, batch)
        scores |= {f"inner_{name}_loss": loss, f"inner_{name}_accuracy": accuracy}
    return scores


def watched_loss(scores: dict[str, float]) -> float:
    """What early stopping and schedules watch: the mean of the inner log losses."""
    losses = [value for name, value in scores.items() if name.endswith("_loss")]
    return sum(losses) / len(losses)


def score(
    network: keras.Model, images: np.ndarray, labels: np.ndarray, batch: int = 64
) -> tuple[float, float]:
    """Log loss and accuracy of a network of logits on images (n, px, px, 3) uint8.

    Both are NaN when any logit is NaN or infinite.
    """
    batch = min(batch, 64, len(images))
    whole = np.concatenate([images, images[: -len(images) % batch]])  # JAX compiles for each size
    logits = network.predict(plain_batches(whole, batch), verbose=0).astype(np.float64)
    logits = logits[: len(images)]
    if not np.isfinite(logits).all():
        return math.nan, math.nan
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = log_loss(labels, probs, labels=range(probs.shape[1]))
    return float(loss), float(accuracy_score(labels, probs.argmax(axis=1)))
