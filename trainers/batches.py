"""Batches for training, out of `tf.data`: shuffled, augmented, weighted."""

import numpy as np
import tensorflow as tf

from cells.augment import augmenter
from cells.policy import Policy
from trainers.recipe import Recipe
from trainers.sampling import class_weights, epoch_images, epoch_order, shown_counts


def steps_per_epoch(labels: np.ndarray, classes: int, recipe: Recipe, batch: int) -> int:
    """How many whole batches an epoch of `training_batches` has."""
    return epoch_images(labels, classes, recipe.oversample) // batch


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
    weights (batch,) float32), epoch after epoch, each with `steps_per_epoch` of them.

    images: (n, px, px, 3) uint8. labels: (n,), or (n, classes) float32 of images that were
    augmented once (`trainers.offline`): those are shown as they are, and none is oversampled again.
    batch: at most as many as an epoch has images.

    What an epoch shows, in which order, and what of it is flipped, split and turned, made noisy or
    picked for a layer of KerasCV's follows from (seed, epoch) alone, so a resumed training goes on
    as it would have. KerasCV's layers start from (seed, first_epoch) and go on from there: their
    draws are not repeatable, since batches are made in parallel, and not reset at each epoch, since
    batches of two epochs are under way at once. A mixed image weighs what its labels weigh, in
    their shares.
    """
    shares = labels.ndim == 2
    counts = shown_counts(labels, classes, recipe.oversample)
    with tf.device("CPU"):
        all_images, all_labels = _in_memory(images), tf.constant(labels)
        seed_number = tf.constant(seed, tf.int64)
        weight_of = tf.constant(class_weights(counts, recipe.class_weight_power))
    layer_seed = int(np.random.default_rng((seed, first_epoch)).integers(2**31 - 1))
    policy = Policy(flip=0) if shares else recipe.policy
    augment = augmenter(policy, images.shape[1], batch, layer_seed)
    steps = steps_per_epoch(labels, classes, recipe, batch)

    def plan(epoch: tf.Tensor) -> tf.data.Dataset:
        of_order, of_batches = tf.unstack(tf.random.split(tf.stack([seed_number, epoch])))
        order = epoch_order(labels, classes, recipe.oversample, of_order)
        order = tf.reshape(order[: steps * batch], (steps, batch))
        return tf.data.Dataset.from_tensor_slices((order, tf.random.split(of_batches, steps)))

    def gather(order: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        y = tf.gather(all_labels, order)
        x, y = augment(tf.gather(all_images, order), y if shares else tf.one_hot(y, classes), key)
        return x, y, tf.linalg.matvec(y, weight_of)

    # Not from_generator: TensorFlow's makes glibc give every freed block back to the kernel
    # (M_TRIM_THRESHOLD), which slows a training on a CPU down (`trainers.bench memory`).
    plans = tf.data.Dataset.counter(first_epoch).flat_map(plan)
    return plans.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _in_memory(images: np.ndarray) -> tf.Tensor:
    """A tensor of the images, which may be mapped from a file, that takes their size once.

    `tf.constant` keeps two copies of an array. TensorFlow asks for 64-byte alignment.
    """
    memory = np.empty(images.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + images.nbytes].view(images.dtype).reshape(images.shape)
    np.copyto(copy, images)
    return tf.experimental.dlpack.from_dlpack(copy.__dlpack__())


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
