"""ConvNeXt's depthwise convolution as cuDNN does it, and as matrix products, with JAX on a GPU.

    KERAS_BACKEND=jax python -m trainers.bench_depthwise --batch 256

One layer each, in this machine's mixed precision, compiled: the output, and the gradient of inputs
and kernel. Milliseconds, the least of three times ten calls in a row.
"""

import os
import time
from collections.abc import Callable
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from trainers import backend, devices
from trainers.catalog import member
from trainers.layers import Depthwise, joined_by_taps

MAPS = ((24, 96), (12, 192), (6, 384), (3, 768))  # px, channels: Small's stages at 96 px


def milliseconds(work: Callable[[], Any], calls: int = 10) -> float:
    """Of one call of `work`, whose arrays are awaited after the last."""
    import jax

    jax.block_until_ready(work())
    found = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(calls):
            last = work()
        jax.block_until_ready(last)
        found.append((time.perf_counter() - began) / calls)
    return 1e3 * min(found)


def both_ways(layer: keras.layers.Layer, px: int, channels: int, batch: int) -> tuple[float, float]:
    """Milliseconds of the layer's output, and of its gradient."""
    import jax

    rng = np.random.default_rng(0)
    dtype = layer.compute_dtype
    x, y = (rng.normal(size=(batch, px, px, channels)) for _ in range(2))
    x, y = jax.numpy.asarray(x, dtype), jax.numpy.asarray(y, dtype)
    weights = [variable.value for variable in layer.trainable_variables]

    def output(weights: list[Any], x: Any) -> Any:
        return layer.stateless_call(weights, [], x)[0]

    def gradient(weights: list[Any], x: Any, y: Any) -> Any:
        return jax.vjp(output, weights, x)[1](y)

    forward, backward = jax.jit(output), jax.jit(gradient)
    return milliseconds(lambda: forward(weights, x)), milliseconds(lambda: backward(weights, x, y))


def table(batch: Annotated[int, typer.Option(help="Images.")] = 256) -> None:
    """Print a row for every size of map."""
    if keras.backend.backend() != "jax":
        raise typer.BadParameter("expected KERAS_BACKEND=jax, got " + keras.backend.backend())
    found = backend.gpus()
    dtype = devices.precision(member("convnext-small").RECIPE)
    where = found[0].kind if found else "CPU"
    out = Table("map", title=f"Depthwise 7x7, batch {batch}, {dtype}, {where}: ms")
    for column in ("convolution", "its gradient", "products", "their gradient"):
        out.add_column(column, justify="right")
    for px, channels in MAPS:
        times: list[float] = []
        for as_products in (False, True):
            layer = Depthwise(7, padding="same", dtype=dtype)
            layer.build((None, px, px, channels))
            layer.taps = joined_by_taps((7, 7), (px, px)) if as_products else None
            times += both_ways(layer, px, channels, batch)
        out.add_row(f"{px}x{px}x{channels}", *(f"{ms:.3f}" for ms in times))
    Console(width=110).print(out)


if __name__ == "__main__":
    typer.run(table)
