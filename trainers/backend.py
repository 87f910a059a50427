"""What Keras computes with, TensorFlow or JAX (KERAS_BACKEND), and on which GPUs.

Batches come out of `tf.data`, and predictions from the uploaded runtime, under either.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Gpu:
    """A GPU; capability: CUDA's (major, minor), None where the driver does not tell."""

    name: str
    kind: str
    capability: tuple[int, int] | None


def gpus() -> list[Gpu]:
    """The GPUs that Keras's backend sees."""
    return _jax_gpus() if keras.backend.backend() == "jax" else _tensorflow_gpus()


def _tensorflow_gpus() -> list[Gpu]:
    found = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        kind = details.get("device_name", device.name)
        found.append(Gpu(device.name, kind, details.get("compute_capability")))
    return found


def _jax_gpus() -> list[Gpu]:
    import jax

    found = []
    for device in jax.devices():
        if device.platform in ("gpu", "cuda", "rocm"):
            try:
                major, minor = map(int, device.compute_capability.split("."))
            except (AttributeError, ValueError):  # no CUDA device
                found.append(Gpu(f"gpu:{device.id}", device.device_kind, None))
            else:
                found.append(Gpu(f"gpu:{device.id}", device.device_kind, (major, minor)))
    return found


def jax_memory_mb() -> tuple[float, float]:
    """The memory of JAX's first GPU that it took at most, and may take."""
    import jax

    stats = jax.local_devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] / 2**20, stats["bytes_limit"] / 2**20


def rate_setter(network: keras.Model) -> Callable[[float], None]:
    """What sets the learning rate before each step of a `fit` that has just begun.

    Under JAX an epoch's numbers live outside the network. Keras puts all of them back, and takes
    them out again, for a callback that looks at its `model` amid an epoch: for one number that
    costs more than many a step. There the rate goes to the steps themselves, which keep it.
    """
    chosen = network.optimizer.learning_rate
    if keras.backend.backend() != "jax":
        return chosen.assign
    import jax

    step = network.train_function
    place = next(i for i, each in enumerate(network.optimizer.variables) if each is chosen)
    now = [chosen.value]

    def at_rate(state: tuple[Any, ...], iterator: Any) -> Any:
        trained, fixed, optimizer, metrics = state
        optimizer = [*optimizer[:place], now[0], *optimizer[place + 1 :]]
        return step((trained, fixed, optimizer, metrics), iterator)

    def set_rate(rate: float) -> None:
        now[0] = jax.numpy.asarray(rate, chosen.dtype)

    network.train_function = at_rate
    return set_rate


def unshare(variables: Iterable[keras.Variable]) -> None:
    """Give each variable a buffer of its own, with the numbers that it has.

    Under JAX a variable that was assigned another's value shares its buffer, and a step of `fit` or
    `predict` gives the buffers of its variables away: the other would be left with nothing.
    """
    if keras.backend.backend() == "jax":
        for variable in variables:
            variable.assign(np.array(variable))
