"""How fast members train beside the networks of `keras.applications` that they stand for.

    python -m trainers.bench_training convnext-small convnext-base --batch 256 --steps 20

Both in one process, in turns: the same pixels, batch, precision, head, loss and optimiser, without
stochastic layers, fed with one batch over and over by `fit`, whose every step is awaited. A member
that stands for none of them is measured alone. KERAS_BACKEND chooses what computes.
"""

import os
import statistics
import time
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras
import numpy as np
import tensorflow as tf
import typer
from rich.console import Console
from rich.table import Table

from trainers import backend, devices
from trainers.bench_steps import steps_per_second
from trainers.catalog import member
from trainers.networks import head
from trainers.objective import compile_network
from trainers.recipe import Recipe, overridden

PX = 96
CLASSES = 8


def bare(name: str, batch: int | None) -> Recipe:
    """The member's full recipe at 96 px without stochastic layers; its own batch unless said."""
    off = ["network_px=none", "drop_path=0", "dropout=0"]
    return overridden(member(name).RECIPE, off + ([f"batch={batch}"] if batch else []))


def networks(name: str, recipe: Recipe) -> list[keras.Model]:
    """The stock network under the member's head, where there is one, and the member's."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(devices.precision(recipe))
    try:
        found = []
        stock = member(name).STOCK
        if stock is not None:
            body = stock.network()
            found.append(keras.Model(body.input, head(body.output, recipe, CLASSES)))
        return [*found, member(name).build(recipe, PX, CLASSES)]
    finally:
        keras.config.set_dtype_policy(before)


def rates(name: str, recipe: Recipe, steps: int, repeats: int) -> tuple[list[float], list[float]]:
    """Images a second of each of `networks`, the median of `repeats`; seconds until they run."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (recipe.batch, PX, PX, 3)).astype(np.float32)
    y = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, recipe.batch)]
    batches = tf.data.Dataset.from_tensors((x, y)).repeat()
    found = networks(name, recipe)
    ready_s = []
    for network in found:
        began = time.perf_counter()
        compile_network(network, recipe)
        network.optimizer.build(network.trainable_variables)
        steps_per_second(network, batches, 1)
        ready_s.append(time.perf_counter() - began)
    turns = [[steps_per_second(each, batches, steps) for each in found] for _ in range(repeats)]
    medians = map(statistics.median, zip(*turns, strict=True))
    return [recipe.batch * each for each in medians], ready_s


def table(
    names: Annotated[list[str], typer.Argument(help="Members, such as convnext-small.")],
    batch: Annotated[int | None, typer.Option(help="Images a step; each member's own.")] = None,
    steps: Annotated[int, typer.Option(help="Measured at a time.")] = 20,
    repeats: Annotated[int, typer.Option(help="The median of so many is shown.")] = 3,
) -> None:
    """Print a table of training speeds, a row a member."""
    found = backend.gpus()
    out = Table(title=f"Training at {PX} px, {found[0].kind if found else 'CPU'}: images/s")
    columns = ("batch", "precision", "stock Keras", "ours", "ours / stock", "first steps, s")
    for column in ("member", *columns):
        out.add_column(column, justify="left" if column == "member" else "right")
    for name in names:
        recipe = bare(name, batch)
        (*stock, ours), ready_s = rates(name, recipe, steps, repeats)
        beside = (f"{stock[0]:.0f}", f"{ours:.0f}", f"{ours / stock[0]:.2f}x") if stock else None
        out.add_row(
            name,
            str(recipe.batch),
            devices.precision(recipe),
            *(beside or ("none", f"{ours:.0f}", "")),
            ", ".join(f"{seconds:.0f}" for seconds in ready_s),
        )
        keras.backend.clear_session()
    Console(width=110).print(out)


if __name__ == "__main__":
    typer.run(table)
