"""Which rows an epoch shows, in which order: shuffled, the rare classes oversampled."""

import numpy as np
import tensorflow as tf


def shown_counts(labels: np.ndarray, classes: int, oversample: float) -> np.ndarray:
    """How many images of each class an epoch shows.

    labels: (n,) classes, or (n, classes) shares of mixed images, which are shown as they are.
    oversample: 0 shows each class as often as it occurs, 1 each as often as the largest; between
    them the counts go geometrically: .5 halves the ratio of any two on a logarithmic scale.
    Returns (classes,) float64, whole numbers unless labels are shares; a class without images
    stays without.
    """
    if labels.ndim == 2:
        return labels.sum(axis=0, dtype=np.float64)
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    return np.rint(counts ** (1 - oversample) * counts.max() ** oversample * (counts > 0))


def epoch_images(labels: np.ndarray, classes: int, oversample: float) -> int:
    """How many images an epoch has to show; labels and oversample as for `shown_counts`."""
    if labels.ndim == 2:
        return len(labels)
    return int(shown_counts(labels, classes, oversample).sum())


def epoch_order(labels: np.ndarray, classes: int, oversample: float, key: tf.Tensor) -> tf.Tensor:
    """Numbers of the rows that an epoch shows, shuffled: (`epoch_images`,) int64.

    key: (2,) int64, from which alone the order follows. Every row comes as often as its class's
    rows come on average, rounded down, and those that come once more are drawn by the key.
    """
    if labels.ndim == 2:
        return tf.random.experimental.stateless_shuffle(tf.range(len(labels), dtype=tf.int64), key)
    parts = []
    for number, wanted in enumerate(shown_counts(labels, classes, oversample).astype(int)):
        rows = np.flatnonzero(labels == number)
        if len(rows):
            parts.append(tf.constant(np.tile(rows, wanted // len(rows))))
            drawn = tf.random.experimental.stateless_shuffle(
                tf.constant(rows), tf.random.fold_in(key, number)
            )
            parts.append(drawn[: wanted % len(rows)])
    return tf.random.experimental.stateless_shuffle(tf.concat(parts, 0), key)


def class_weights(counts: np.ndarray, power: float) -> np.ndarray:
    """Inverse frequency to the `power`, scaled so that the mean over the images is 1.

    counts: (classes,) images of each class that an epoch shows, >= 0. power: 0 weighs all images
    alike, .5 takes the square root, 1 gives each class the same share of the loss.
    Returns (classes,) float32; a class without images weighs 0.
    """
    weights = np.power(counts, -float(power), out=np.zeros(len(counts)), where=counts > 0)
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
