"""Networks whose every layer matters, and what they become as a member."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications import convnext

from submission.model import Network, read_member
from trainers.export import write_member
from trainers.layers import LayerScale
from trainers.storage import Storage


def leaves(network: keras.Model) -> list[keras.layers.Layer]:
    """Every layer that is no model, in the order in which images pass it."""
    parts = [
        leaves(layer) if isinstance(layer, keras.Model) else [layer] for layer in network.layers
    ]
    return [layer for part in parts for layer in part]


def shake(network: keras.Model, images: np.ndarray, rng: np.random.Generator) -> None:
    """Give every layer weight: a fresh ConvNeXt has layer scales of 1e-6, and without its whole
    body the probabilities move by 2e-6.

    Gammas and layer scales from U(.3, 1), norm statistics and biases random, the head scaled so
    that the logits' mean over the images is 0 and their sd 1.
    """
    for layer in leaves(network):
        scales = isinstance(layer, LayerScale | convnext.LayerScale)
        for variable in layer.weights:
            name, shape = variable.path.rsplit("/", 1)[-1], variable.shape
            if scales or name in ("gamma", "moving_variance"):
                variable.assign(rng.uniform(0.3, 1, shape))
            elif name in ("beta", "bias", "moving_mean"):
                variable.assign(rng.normal(0, 0.2, shape))
    scale_head(network, images)


def settle(network: keras.Model, images: np.ndarray, rng: np.random.Generator) -> None:
    """As `shake` leaves it, but norm statistics random about those of the images themselves.

    A deep network forgets the images else.
    """
    shake(network, images, rng)
    layers = leaves(network)
    norms = [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
    for layer in layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # what is measured is what is there when nothing is dropped
    for norm in norms:
        norm.momentum = 0.0
    if norms:
        network(images.astype(np.float32), training=True)
    for norm in norms:
        mean, variance = np.array(norm.moving_mean), np.array(norm.moving_variance)
        norm.moving_mean.assign(mean + rng.normal(0, 0.1, mean.shape) * np.sqrt(variance))
        norm.moving_variance.assign(variance * rng.uniform(1, 1.2, mean.shape))
    scale_head(network, images)


def scale_head(network: keras.Model, images: np.ndarray) -> None:
    """Scale the last layer with a kernel, which makes the logits: mean 0, sd 1 over the images."""
    *_, head = (layer for layer in leaves(network) if hasattr(layer, "kernel"))
    logits = np.asarray(network(images.astype(np.float32), training=False))
    sd = logits.std(axis=0).mean()
    head.kernel.assign(head.kernel / sd)
    head.bias.assign((head.bias - logits.mean(axis=0)) / sd)


def distance(network: keras.Model, member: Network, images: np.ndarray) -> float:
    """Largest difference of logits, in units of the logits' sd over the images."""
    expected = np.asarray(network(images.astype(np.float32), training=False))
    return float(np.abs(member.logits(images) - expected).max() / expected.std(axis=0).mean())


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
