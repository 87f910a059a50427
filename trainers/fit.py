"""The training loop that all members share: two phases, one epoch's end.

Phase 1 trains the head on a frozen pretrained backbone and is skipped when nothing is pretrained;
phase 2 trains the last fraction of the layers. Early stopping and schedules watch the inner rows,
clean and shifted, never the fold that later sets weights.
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from sklearn.metrics import accuracy_score, log_loss

from cells.errors import RunError
from trainers import checkpoint
from trainers.batches import plain_batches, steps_per_epoch, training_batches
from trainers.networks import HEAD_PREFIX
from trainers.recipe import Phase, Recipe
from trainers.report import write_history
from trainers.schedule import Watch, rate_at


class Progress(Protocol):
    """Who is told how a training goes."""

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


def phases(recipe: Recipe) -> list[tuple[str, Phase]]:
    """The phases that a recipe trains, by name."""
    pretrained = recipe.weights != "none" and recipe.head is not None
    head = [("head", recipe.head)] if pretrained and recipe.head else []
    return [*head, ("whole", recipe.whole)]


def fit(
    network: keras.Model,
    recipe: Recipe,
    data: TrainingData,
    seed: int,
    checkpoint_path: Path,
    progress: Progress,
    started: float | None = None,
) -> list[dict[str, Any]]:
    """Train `network` in place; it ends with the best weights of the last phase.

    Goes on from `checkpoint_path` when that exists; history.csv beside it grows by a row an epoch.
    started: when the run's clock began, by time.perf_counter(); now, unless said.
    Returns the history; its elapsed_s counts on where an interrupted training stopped.
    Raises RunError when the loss is no number any more.
    """
    started = time.perf_counter() if started is None else started
    resuming = checkpoint_path.is_file()
    state = checkpoint.load_state(checkpoint_path) if resuming else checkpoint.State()
    if state.history:
        started -= state.history[-1]["elapsed_s"]
    batch = min(recipe.batch, len(data.labels))
    steps = steps_per_epoch(data.labels, data.classes, recipe, batch)
    for index, (name, phase) in enumerate(phases(recipe)):
        if index < state.phase:
            continue
        if index > state.phase:
            state.phase, state.epoch, state.watch = index, 0, {}
        set_trainable(network, 0.0 if name == "head" else phase.trainable_fraction)
        compile_network(network, recipe)
        if resuming:
            network.optimizer.build(network.trainable_variables)
            checkpoint.load_variables(checkpoint_path, network)
            resuming = False
        keeper = _Keeper(
            name, phase, recipe, data, state, steps, started, checkpoint_path, progress
        )
        if state.epoch < phase.epochs and not keeper.watch.over(phase):
            past = len(state.history)
            batches = training_batches(
                data.images, data.labels, data.classes, recipe, batch, seed, past
            )
            network.fit(
                batches,
                steps_per_epoch=steps,
                initial_epoch=state.epoch,
                epochs=phase.epochs,
                callbacks=[keeper],
                verbose=0,
                shuffle=False,  # the batches are shuffled already; Keras would warn
            )
        network.set_weights(state.best)
    return state.history


def set_trainable(network: keras.Model, fraction: float) -> None:
    """Let the head and the last `fraction` of the backbone's layers with weights train."""
    backbone = [
        layer
        for layer in network.layers
        if layer.weights and not layer.name.startswith(HEAD_PREFIX)
    ]
    frozen = round(len(backbone) * (1 - fraction))
    for index, layer in enumerate(backbone):
        layer.trainable = index >= frozen and not isinstance(layer, keras.layers.Normalization)


def compile_network(network: keras.Model, recipe: Recipe) -> None:
    """AdamW, cross-entropy on logits; the learning rate is set before every step."""
    optimizer = keras.optimizers.AdamW(
        learning_rate=recipe.whole.peak_lr,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        use_ema=recipe.ema_momentum > 0,
        ema_momentum=recipe.ema_momentum or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    network.compile(optimizer, loss)


def score(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Log loss and accuracy of a network of logits on images (n, px, px, 3) uint8.

    Both are NaN when any logit is NaN or infinite.
    """
    logits = network.predict(plain_batches(images, 64), verbose=0).astype(np.float64)
    if not np.isfinite(logits).all():
        return math.nan, math.nan
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = log_loss(labels, probs, labels=range(probs.shape[1]))
    return float(loss), float(accuracy_score(labels, probs.argmax(axis=1)))


class _Keeper(keras.callbacks.Callback):
    """Sets the rate before a step; scores, remembers and saves after an epoch."""

    def __init__(
        self,
        name: str,
        phase: Phase,
        recipe: Recipe,
        data: TrainingData,
        state: checkpoint.State,
        steps: int,
        run_started: float,
        path: Path,
        progress: Progress,
    ) -> None:
        super().__init__()
        self.name, self.phase, self.recipe, self.data = name, phase, recipe, data
        self.state, self.steps, self.path, self.progress = state, steps, path, progress
        self.watch = Watch(**state.watch)
        self.at_epoch = state.epoch
        self.run_started, self.started = run_started, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.at_epoch, self.started = epoch, time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        done = self.at_epoch + (batch + 1) / self.steps
        rate = rate_at(self.phase, done, self.watch.reductions)
        self.model.optimizer.learning_rate.assign(rate)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.progress.step(self.name, self.at_epoch, self.phase.epochs, batch + 1, self.steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.started
        batch = min(self.recipe.batch, len(self.data.labels))
        raw = [np.asarray(variable) for variable in self.model.trainable_variables]
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        clean = score(self.model, self.data.inner_clean, self.data.inner_labels)
        shifted = score(self.model, self.data.inner_shifted, self.data.inner_labels)
        loss = float((logs or {})["loss"])
        # not the training loss: under float16 the scaler skips a step that overflows
        if not math.isfinite(clean[0] + shifted[0]):
            self._diverged(epoch + 1)
        if self.watch.see(self.phase, epoch, (clean[0] + shifted[0]) / 2):
            self.state.best = self.model.get_weights()
        for variable, value in zip(self.model.trainable_variables, raw, strict=True):
            variable.assign(value)
        row = {
            "phase": self.name,
            "epoch": epoch + 1,
            "seconds": round(seconds, 3),
            "images_per_s": round(self.steps * batch / seconds, 1),
            "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
            "loss": loss,
            "inner_clean_loss": clean[0],
            "inner_clean_accuracy": clean[1],
            "inner_shifted_loss": shifted[0],
            "inner_shifted_accuracy": shifted[1],
            "elapsed_s": round(time.perf_counter() - self.run_started, 3),
        }
        self.state.history.append(row)
        self.state.epoch, self.state.watch = epoch + 1, asdict(self.watch)
        checkpoint.save(self.path, self.state, self.model)
        write_history(self.path.with_name("history.csv"), self.state.history)
        self.progress.epoch(row)
        if self.watch.over(self.phase):
            self.model.stop_training = True

    def _diverged(self, epoch: int) -> None:
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        lower = f"--set {self.name}.peak_lr={self.phase.peak_lr / 3:.1g}"
        raise RunError(
            f"{self.path.parent}: phase {self.name}, epoch {epoch}: expected numbers, got NaN or "
            f"infinity at learning rate {rate:.2g}. The training diverged: train "
            f"{self.recipe.name} alone, with {lower}."
        )
