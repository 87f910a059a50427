"""The training loop that all members share: two phases, one epoch's end.

Phase 1 trains the head on a pretrained backbone, which is frozen unless the recipe says otherwise,
and is skipped when nothing is pretrained; phase 2 trains the last layers of the whole. Early
stopping and schedules watch the inner rows, clean and shifted, never the fold that later sets
weights.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from cells.errors import RunError
from trainers import checkpoint, devices
from trainers.batches import in_parts, steps_per_epoch, training_batches
from trainers.keeper import Keeper, Progress, Training, TrainingData
from trainers.objective import compile_network, set_trainable
from trainers.recipe import Phase, Recipe
from trainers.schedule import stages


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
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[dict[str, Any]]:
    """Train `network` in place; it ends with the best weights of the last phase.

    Goes on from `checkpoint_path` when that exists; history.csv beside it grows by a row an epoch.
    Where a batch does not fit into memory it is cut into parts whose gradients are averaged: the
    step is that of the whole batch, batch norm's statistics apart.
    started: when the run's clock began, by time.perf_counter(); now, unless said.
    callbacks: come after our own, when an epoch's row is in history.csv.
    Returns the history; its elapsed_s counts on where an interrupted training stopped.
    Raises RunError when the loss is no number any more, when not even two images fit into memory,
    or when several devices cannot share a batch evenly.
    """
    _check_shared(recipe, len(data.labels))
    started = time.perf_counter() if started is None else started
    fresh = not checkpoint_path.is_file()
    state = checkpoint.State() if fresh else checkpoint.load_state(checkpoint_path)
    if state.history:
        started -= state.history[-1]["elapsed_s"]
    batch = min(recipe.batch, len(data.labels))
    training = Training(
        recipe=recipe,
        data=data,
        state=state,
        batch=batch,
        steps=steps_per_epoch(data.labels, data.classes, recipe, batch),
        started=started,
        path=checkpoint_path,
        progress=progress,
        callbacks=callbacks,
    )
    for index, (name, phase) in enumerate(phases(recipe)):
        if index < state.phase:
            continue
        if index > state.phase:
            state.phase, state.stage, state.epoch, state.watch = index, 0, 0, {}
        for stage, (end, share) in enumerate(stages(phase)):
            if stage >= state.stage:
                state.stage = stage
                _train_stage(network, name, phase, training, seed, end, share, fresh)
                fresh = True
        network.set_weights(state.best)
    return state.history


def _check_shared(recipe: Recipe, images: int) -> None:
    together, batch = max(1, len(devices.replicas())), min(recipe.batch, images)
    if batch % together:
        raise RunError(
            f"{recipe.name}: batch: expected a multiple of {together}, the devices that share it, "
            f"got {batch}. Use --set batch={batch // together * together}."
        )


def _train_stage(
    network: keras.Model,
    name: str,
    phase: Phase,
    training: Training,
    seed: int,
    end: int,
    share: float,
    fresh: bool,
) -> None:
    """Train until the phase's epoch `end`, with as many parts a batch as memory asks for.

    share: of the layers that the phase may train. fresh: begin with a new optimiser; else go on
    from the checkpoint.
    """
    state = training.state
    while True:
        set_trainable(network, phase, share)
        compile_network(network, training.recipe, state.parts)
        network.optimizer.build(network.trainable_variables)
        if fresh:
            checkpoint.save(training.path, state, network)
            fresh = False
        else:
            checkpoint.load_variables(training.path, network, state.parts)
        keeper = Keeper(name, phase, training)
        if state.epoch >= end or keeper.watch.over(phase):
            return
        try:
            _run(network, training, seed, end, keeper)
            return
        except Exception as error:
            if not devices.out_of_memory(error):
                raise
        state.parts = _more_parts(training)
        training.progress.say(
            f"out of memory: each batch of {training.batch} now comes in {state.parts} parts of "
            f"{training.batch // state.parts}, with the same effective batch"
        )


def _run(network: keras.Model, training: Training, seed: int, end: int, keeper: Keeper) -> None:
    """Keras's own loop over the epochs up to `end`."""
    state, data = training.state, training.data
    batches = training_batches(
        data.images,
        data.labels,
        data.classes,
        training.recipe,
        training.batch,
        seed,
        len(state.history),
    )
    network.fit(
        in_parts(batches, training.batch, state.parts),
        steps_per_epoch=training.steps * state.parts,
        initial_epoch=state.epoch,
        epochs=end,
        callbacks=[keeper, *training.callbacks],
        verbose=0,
        shuffle=False,  # the batches are shuffled already; Keras would warn
    )


def _more_parts(training: Training) -> int:
    """The next number of equal parts that a batch can be cut into, of at least two images each."""
    together = len(devices.replicas())
    if together > 1:  # Keras gathers no gradients under tf.distribute
        smaller = max(1, training.batch // 2 // together) * together
        with_less = f"batch={smaller}" if smaller < training.batch else "network_px=64"
        raise RunError(
            f"{training.path.parent}: out of memory with a batch of {training.batch} on {together} "
            f"devices. Train {training.recipe.name} with less: --set {with_less}, "
            "or on one device: CUDA_VISIBLE_DEVICES=0."
        )
    for parts in range(training.state.parts + 1, training.batch // 2 + 1):
        if training.batch % parts == 0:
            return parts
    raise RunError(
        f"{training.path.parent}: out of memory with {training.batch // training.state.parts} "
        f"images at a time, and a batch of {training.batch} cannot be cut further. Free memory, "
        f"or train {training.recipe.name} with fewer pixels: --set network_px=64."
    )
