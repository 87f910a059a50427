"""Random changes of a batch that follow from a key to the bit, in any thread and any process.

Each takes images (n, px, px, 3) float32, 0-255, and a key (2,) int64, and returns such images.
"""

from collections.abc import Callable

import tensorflow as tf


def flip(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Left to right, upside down, both or neither: each for a quarter of the images."""
    across, down = tf.unstack(tf.random.split(key))
    images = _half_of(images, across, lambda some: tf.reverse(some, [2]))
    return _half_of(images, down, lambda some: tf.reverse(some, [1]))


def split_rotate(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Turn each quadrant by 0, 90, 180 or 270 degrees, each as likely, in its place.

    Of an odd number of pixels the middle row and column stay as they are.
    """
    px = images.shape[1]
    half = px // 2
    rows = []
    for top in (0, px - half):
        quadrants = []
        for left in (0, px - half):
            key, by_90, by_180 = tf.unstack(tf.random.split(key, 3))
            part = images[:, top : top + half, left : left + half]
            part = _half_of(part, by_90, lambda some: tf.reverse(_transposed(some), [1]))
            part = _half_of(part, by_180, lambda some: tf.reverse(some, [1, 2]))
            quadrants.append(part)
        between = images[:, top : top + half, half : px - half]
        rows.append(tf.concat([quadrants[0], between, quadrants[1]], 2))
    return tf.concat([rows[0], images[:, half : px - half], rows[1]], 1)


def _transposed(images: tf.Tensor) -> tf.Tensor:
    return tf.transpose(images, (0, 2, 1, 3))


def _half_of(
    images: tf.Tensor, key: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Change each image with a chance of one half; the others are not touched, which saves time."""
    numbers = tf.where(tf.random.stateless_uniform((images.shape[0],), key) < 0.5)
    changed = change(tf.gather(images, numbers[:, 0]))
    return tf.tensor_scatter_nd_update(images, numbers, changed)


def noise(largest: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Gaussian noise, its standard deviation drawn per image up to `largest`; KerasCV has none."""

    def act(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        how_much, which = tf.unstack(tf.random.split(key))
        shape = (images.shape[0], 1, 1, 1)
        deviation = tf.random.stateless_uniform(shape, how_much, 0.0, largest)
        grains = tf.random.stateless_normal(images.shape, which)
        return tf.clip_by_value(images + deviation * grains, 0.0, 255.0)

    return act
