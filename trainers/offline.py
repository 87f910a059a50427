"""Augmentation made once, into work/augmented/<16 hex digits>.h5, and trained from as it is.

The rows that are augmented are the training rows of one fold and one seed; held-out, inner and
test rows are never here.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from cells.augment import augmented_in_order
from cells.errors import RunError
from cells.files import fingerprint, replacing_h5
from trainers.recipe import Recipe
from trainers.sampling import epoch_order

VERSION = 1  # raise it when the same recipe and seed would make other images
BATCH = 64


def offline_images(
    folder: Path,
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    count: int,
    recipe: Recipe,
    seed: int,
    say: Callable[[str], None],
) -> tuple[np.ndarray, np.ndarray]:
    """`count` images made of the training rows with the recipe's policy; made unless already there.

    images: (n, px, px, 3) uint8. labels: (n,). Row after row is changed, epoch by epoch in another
    order, oversampled as the recipe says, until there are enough; so each comes count / n times.
    say: told how far it is.
    Returns images (count, px, px, 3) uint8, mapped read-only from the file and not held in memory,
    and labels (count, classes) float32, the shares of the classes in mixed images.
    Raises RunError when the disk is too full, before anything is written.
    """
    key = fingerprint(
        VERSION,
        np.ascontiguousarray(images).tobytes(),
        labels.tolist(),
        classes,
        count,
        recipe.policy.model_dump(),
        recipe.oversample,
        seed,
    )
    path, shape = folder / f"{key}.h5", (count, *images.shape[1:])
    if path.is_file():
        say(f"{path}: {count:,} images made before")
    else:
        _check_disk(path, count * (images[0].nbytes + 4 * classes))
        given, batch = _in_batches(images, labels, classes, recipe.oversample, seed)
        given = given.take(math.ceil(count / batch))
        changed = augmented_in_order(given, recipe.policy, images.shape[1], batch, seed)
        _write(path, changed, shape, classes, say)
    return _read(path, shape)


def _check_disk(path: Path, needed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < 1.05 * needed:
        raise RunError(
            f"{path}: expected {1.05 * needed / 1e9:.2g} GB of free disk for the augmented images, "
            f"got {free / 1e9:.2g} GB. Free some, or make fewer with --set offline_images=…"
        )


def _in_batches(
    images: np.ndarray, labels: np.ndarray, classes: int, oversample: float, seed: int
) -> tuple[tf.data.Dataset, int]:
    """Images and labels (batch, classes) epoch by epoch without end, and how large a batch is."""
    with tf.device("CPU"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)
        seed_number = tf.constant(seed, tf.int64)
    batch = min(BATCH, len(labels))

    def order(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = epoch_order(labels, classes, oversample, tf.stack([seed_number, epoch]))
        return tf.data.Dataset.from_tensor_slices(rows)

    batches = tf.data.Dataset.counter().flat_map(order).batch(batch, drop_remainder=True)
    return batches.map(
        lambda rows: (
            tf.gather(all_images, rows),
            tf.one_hot(tf.gather(all_labels, rows), classes),
        )
    ), batch


def _write(
    path: Path,
    changed: Iterator[tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, ...],
    classes: int,
    say: Callable[[str], None],
) -> None:
    """Write the first images of `changed` batches, as many as `shape` says."""
    count, done, told = shape[0], 0, time.perf_counter()
    with replacing_h5(path) as file:
        # contiguous, so that it can be mapped
        made = file.create_dataset("images", shape, np.uint8)
        shares = file.create_dataset("labels", (count, classes), np.float32)
        for images, labels in changed:
            upto = min(count, done + len(images))
            made[done:upto], shares[done:upto] = images[: upto - done], labels[: upto - done]
            done = upto
            if time.perf_counter() - told > 2 or done == count:
                told = time.perf_counter()
                say(f"augmenting once: {done:,} of {count:,} images")


def _read(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    try:
        with h5py.File(path) as file:
            stored, labels = file["images"], file["labels"][()]
            if stored.shape != shape:
                raise OSError(f"expected images {shape}, got {stored.shape}")
            offset = stored.id.get_offset()
        return np.memmap(path, np.uint8, "r", offset, shape), labels
    except (OSError, KeyError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}). Delete it: it is made again.") from None
