"""Networks whose every layer matters, and what they become as a member."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from submission.model import Network, read_member
from trainers.export import write_member
from trainers.layers import LayerScale
from trainers.storage import Storage


def shake(network: keras.Model, images: np.ndarray, rng: np.random.Generator) -> None:
    """Give every layer weight: a fresh ConvNeXt has layer scales of 1e-6, and without its whole
    body the probabilities move by 2e-6.

    Gammas and layer scales from U(.3, 1), norm statistics and biases random, the head scaled so
    that the logits' mean over the images is 0 and their sd 1.
    """
    for layer in network.layers:
        for variable in layer.weights:
            name, shape = variable.path.rsplit("/", 1)[-1], variable.shape
            if name in ("gamma", "moving_variance"):
                variable.assign(rng.uniform(0.3, 1, shape))
            elif name in ("beta", "bias", "moving_mean") and not isinstance(layer, LayerScale):
                variable.assign(rng.normal(0, 0.2, shape))
    logits = np.asarray(network(images.astype(np.float32), training=False))
    head, sd = network.layers[-1], logits.std(axis=0).mean()
    head.kernel.assign(head.kernel / sd)
    head.bias.assign((head.bias - logits.mean(axis=0)) / sd)


@pytest.fixture
def as_member(tmp_path: Path) -> Callable[..., Network]:
    """Write a network as member.h5 and read it back with the runtime."""

    def convert(network: keras.Model, storage: Storage = "float32") -> Network:
        path = tmp_path / "member.h5"
        attrs = {
            "name": network.name,
            "run": "a-run",
            "fold": 0,
            "classes": [f"class {i}" for i in range(network.output_shape[-1])],
            "image_px": network.input_shape[1],
            "data_fingerprint": "0" * 16,
            "recipe_fingerprint": "0" * 16,
        }
        write_member(path, network, attrs, storage)
        return read_member(path)

    return convert


def smooth_pictures(rng: np.random.Generator) -> np.ndarray:
    """Seven of them, (7, 32, 32, 3) uint8: an odd number, so that batches end unevenly."""
    coarse = rng.uniform(0, 255, (7, 4, 4, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype(np.uint8)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return smooth_pictures(rng)
