"""Images that show what a policy did to them, and what it leaves of them.

A policy acts on them eagerly: building a graph would take longer.
"""

import numpy as np
import tensorflow as tf

from cells.augment import augmenter
from cells.policy import Dose, Policy

LAYERS = [name for name, field in Policy.model_fields.items() if field.annotation is Dose]
MIXING = ("mixup", "cutmix")
PX = 24
KEY = tf.constant([1, 2], tf.int64)


def noise(n: int) -> np.ndarray:
    """(n, PX, PX, 3) uint8: blotches of many colours."""
    coarse = np.random.default_rng(0).integers(0, 256, (n, PX // 4, PX // 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def flat(values: list[int]) -> np.ndarray:
    """(n, PX, PX, 3) uint8, each image of one grey."""
    return np.broadcast_to(np.uint8(values)[:, None, None, None], (len(values), PX, PX, 3)).copy()


def augmented(images, policy: Policy, labels: np.ndarray | None = None, seed: int = 5):
    """Images and labels (one class an image, unless given) as a policy leaves them."""
    labels = np.eye(len(images), dtype=np.float32) if labels is None else labels
    act = augmenter(policy, images.shape[1], len(images), seed)
    out, shares = act(tf.constant(images), tf.constant(labels), KEY)
    assert (out.dtype, shares.dtype) == (tf.float32, tf.float32)
    assert (out.shape, shares.shape) == (images.shape, labels.shape)
    return out.numpy(), shares.numpy()


def only(name: str, rate: float = 1.0, strength: float = 0.5) -> Policy:
    return Policy(**{"flip": 0, name: Dose(rate=rate, strength=strength)})


def changes(out: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(n,): the mean absolute change of each image."""
    return np.abs(out - images).mean(axis=(1, 2, 3))


LOW_AND_HIGH = flat([0, 200] * 8)
TWO_CLASSES = np.eye(2, dtype=np.float32)[[0, 1] * 8]
