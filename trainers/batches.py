"""Batches for training, out of `tf.data`: shuffled, augmented, weighted."""

import numpy as np
import tensorflow as tf

from cells.augment import augmenter
from trainers.recipe import Recipe


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Square root of inverse frequency, scaled so that the mean over the images is 1.

    labels: (n,). Returns (classes,) float32; a class without images weighs 0.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    weights = np.divide(1.0, np.sqrt(counts), out=np.zeros(classes), where=counts > 0)
    return (weights * len(labels) / (weights * counts).sum()).astype(np.float32)


def training_batches(
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    recipe: Recipe,
    batch: int,
    seed: int,
    first_epoch: int,
) -> tf.data.Dataset:
    """Endless batches (images (batch, px, px, 3) float32 0-255, labels (batch, classes) float32,
    weights (batch,) float32), epoch after epoch, each row at most once an epoch.

    images: (n, px, px, 3) uint8. labels: (n,). The order of epoch e follows from (seed, e) alone,
    so a resumed training goes on in the order it would have had. A mixed image weighs what its
    labels weigh, in their shares.
    """
    per_class = class_weights(labels, classes) if recipe.class_weights else np.ones(classes)
    with tf.device("CPU"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)
        rows = tf.range(len(labels), dtype=tf.int64)
        seed_number = tf.constant(seed, tf.int64)
        weight_of = tf.constant(per_class, tf.float32)
    layer_seed = int(np.random.default_rng((seed, first_epoch)).integers(2**31 - 1))
    augment = augmenter(recipe.policy, images.shape[1], batch, layer_seed)

    def orders(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(rows, [seed_number, epoch])
        return tf.data.Dataset.from_tensor_slices(order).batch(batch, drop_remainder=True)

    def gather(order: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        one_hot = tf.one_hot(tf.gather(all_labels, order), classes)
        x, y = augment(tf.gather(all_images, order), one_hot)
        return x, y, tf.linalg.matvec(y, weight_of)

    # Not from_generator: TensorFlow's makes glibc give every freed block back to the kernel
    # (M_TRIM_THRESHOLD), which slows a training on a CPU down (`trainers.bench memory`).
    indices = tf.data.Dataset.counter(first_epoch).flat_map(orders)
    return indices.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def in_parts(batches: tf.data.Dataset, batch: int, parts: int) -> tf.data.Dataset:
    """Each batch of `batch` as `parts` equal ones, in order; `parts` must divide it."""
    if parts == 1:
        return batches

    def cut(*arrays: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(tf.reshape(a, (parts, batch // parts, *a.shape[1:])) for a in arrays)

    return batches.map(cut).unbatch()


def plain_batches(images: np.ndarray, batch: int) -> tf.data.Dataset:
    """Batches of images (n, px, px, 3) as they are, float32."""
    return (
        tf.data.Dataset.from_tensor_slices(images)
        .batch(batch)
        .map(lambda x: tf.cast(x, tf.float32))
    )
