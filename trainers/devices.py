"""What this machine computes on and in which precision, and how long a recipe would take on it."""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.client import device_lib

from trainers import backend
from trainers.recipe import Recipe


def gpus() -> list[str]:
    """Names of the GPUs that Keras computes on."""
    return [gpu.name for gpu in backend.gpus()]


def precision(recipe: Recipe) -> str:
    """The dtype policy to build with: bfloat16 or float16 mixed on a GPU, float32 on a CPU."""
    found = backend.gpus()
    if not found or not recipe.mixed_precision:
        return "float32"
    major, _ = found[0].capability or (7, 0)
    return "mixed_bfloat16" if major >= 8 else "mixed_float16"


def gpu_memory_mb() -> tuple[float, float] | None:
    """The first GPU's memory that Keras took at most, and may take; None without a GPU."""
    if not gpus():
        return None
    if keras.backend.backend() == "jax":
        return backend.jax_memory_mb()
    limits = [d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"]
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20, limits[0] / 2**20


def scope() -> AbstractContextManager[Any]:
    """Where a network is built and trained: on all GPUs of this host, a batch split among them.

    CUDA_VISIBLE_DEVICES chooses fewer. Each device takes batch norm's statistics of its own share,
    and with TensorFlow clips its own gradient, before the gradients are averaged.
    """
    names = replicas()
    if len(names) < 2:
        return nullcontext()
    if keras.backend.backend() == "jax":
        split = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
        return split.scope()
    return tf.distribute.MirroredStrategy(names).scope()


def replicas() -> list[str]:
    """The devices that share a batch, by the names that the backend gives them."""
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def out_of_memory(error: BaseException | None) -> bool:
    """Whether a training step failed for want of memory, on whatever backend.

    What came before the error counts too: under JAX, Keras puts numbers back after a failed step
    that the step had given away, and fails once more.
    """
    while error is not None:
        if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
            return True
        if "RESOURCE_EXHAUSTED" in str(error):  # JAX's and XLA's own classes differ by version
            return True
        error = error.__context__
    return False


def multiply_adds(network: keras.Model) -> int:
    """Multiply-adds of one image through a network of convolutions and dense layers."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
            kernel = layer.kernel.shape
            per_place = int(np.prod(kernel))
            total += per_place * int(np.prod(layer.output.shape[1:3]))
        elif isinstance(layer, keras.layers.Dense):
            places = int(np.prod(layer.output.shape[1:-1], dtype=np.int64))
            total += int(np.prod(layer.kernel.shape)) * places
    return total


def matmul_gflops(size: int = 1024, repeats: int = 8) -> float:
    """This machine's float32 matrix-product rate, measured: 1e9 operations a second."""
    matrix = keras.ops.full((size, size), 1 / size)  # its own square: no product can overflow
    product = keras.ops.matmul(matrix, matrix)
    float(product[0, 0])
    start = time.perf_counter()
    for _ in range(repeats):
        product = keras.ops.matmul(product, matrix)  # one after the other, as the last is awaited
    float(product[0, 0])
    return 2 * size**3 * repeats / (time.perf_counter() - start) / 1e9


def estimated_hours(network: keras.Model, recipe: Recipe, images: int) -> float:
    """Hours to train on this machine at its matrix-product rate, if no phase stops early.

    A step costs three forward passes; where the head trains alone it costs one.
    """
    forward = 2 * multiply_adds(network) * images / 1e9
    passes = 3 * recipe.whole.epochs
    if recipe.head and recipe.weights != "none":
        passes += recipe.head.epochs * (1 if recipe.head.head_alone else 3)
    return forward * passes / matmul_gflops() / 3600
