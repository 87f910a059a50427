"""The augmentation policy: its layers inside `tf.data`, each on its share of every batch.

A layer sees only the images it will change: of a batch of 64 a rate of .25 gives it 16, picked
anew each batch. That is what makes a dozen layers affordable on two cores.

Who is picked and what `cells.stateless` does follow from the key of the batch to the bit. KerasCV's
layers draw from streams that `seed` starts; with several threads the order in which the batches
draw from them is nobody's to say.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from cells.augment_layers import Act, Mix, cut_mix, doses, mix_up
from cells.policy import Policy


def augmenter(
    policy: Policy, image_px: int, batch: int, seed: int, in_order: bool = False
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function for `tf.data.Dataset.map` over batches of exactly `batch` images.

    It takes images (batch, px, px, 3) of any number type 0-255, labels (batch, classes) float32
    that sum to 1 and a key (2,) int64 of the batch, and gives images and labels as float32,
    augmented and mixed. The same key picks the same images for each layer and flips, turns and
    adds noise alike; KerasCV's layers are seeded from `seed` alone. in_order: let them take the
    images of a batch one after the other, which is slower.
    """
    acts = [
        (_share(dose.rate, batch), make(dose.strength))
        for dose, make in doses(policy, image_px, seed, in_order)
        if dose.rate > 0
    ]
    mix, cut = mix_up(policy.mixup.strength, seed), cut_mix(policy.cutmix.strength, seed + 1)
    mixed, cut_mixed = _share(policy.mixup.rate, batch), _share(policy.cutmix.rate, batch)
    if mixed + cut_mixed > batch:
        mixed = batch - cut_mixed

    def augment(
        images: tf.Tensor, labels: tf.Tensor, key: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not tf.executing_eagerly():
            # of this graph alone: what KerasCV draws without a seed of its own
            tf.compat.v1.set_random_seed(seed)
        images = tf.ensure_shape(tf.cast(images, tf.float32), (batch, image_px, image_px, 3))
        if acts:
            keys = tf.unstack(tf.random.split(key, len(acts) + 1))
            orders = tf.argsort(tf.random.stateless_uniform((len(acts), batch), keys[-1]))
            for (count, act), order, own_key in zip(acts, tf.unstack(orders), keys, strict=False):
                images = _on_some(act, images, order[:count], own_key)
        images, labels = _on_slice(mix, images, labels, 0, mixed)
        images, labels = _on_slice(cut, images, labels, mixed, mixed + cut_mixed)
        return tf.clip_by_value(images, 0.0, 255.0), labels

    return augment


# ---- once, in an order that can be repeated ------------------------------------------------------


def augmented_in_order(
    batches: tf.data.Dataset, policy: Policy, image_px: int, batch: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Augment batches one after the other in one thread, so that the same seed gives the same.

    batches: of images (batch, px, px, 3) uint8 and labels (batch, classes) float32.
    Yields images (batch, px, px, 3) uint8, rounded, and labels (batch, classes) float32.
    """
    augment = augmenter(policy, image_px, batch, seed, in_order=True)

    def changed(
        number: tf.Tensor, given: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = augment(*given, tf.stack([tf.constant(seed, tf.int64), number]))
        return tf.cast(tf.round(images), tf.uint8), labels

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    for images, labels in batches.enumerate().map(changed).with_options(options):
        yield images.numpy(), labels.numpy()


def augmented_once(images: np.ndarray, policy: Policy, seed: int, batch: int = 64) -> np.ndarray:
    """Images as a policy changes them, made once and the same for the same seed.

    images: (n, px, px, 3) uint8, 0-255. batch: at most so many at a time; rates are shares of it.
    Returns (n, px, px, 3) uint8. Raises ValueError for a policy that mixes images: their labels
    would no longer be true.
    """
    if policy.mixup.rate or policy.cutmix.rate:
        raise ValueError("augmented_once: expected a policy without mixup and cutmix")
    if not len(images):
        return images
    batch = math.ceil(len(images) / math.ceil(len(images) / batch))  # all alike, few left over
    rows = np.arange(math.ceil(len(images) / batch) * batch) % len(images)
    given = tf.data.Dataset.from_tensor_slices(rows.reshape(-1, batch)).map(
        lambda order: (tf.gather(images, order), tf.zeros((batch, 1)))
    )
    changed = augmented_in_order(given, policy, images.shape[1], batch, seed)
    return np.concatenate([part for part, _ in changed])[: len(images)]


# ---- on a part of the batch ----------------------------------------------------------------------


def _share(rate: float, batch: int) -> int:
    """How many of a batch an augmentation gets: at least one when its rate is above 0."""
    return max(1, round(rate * batch)) if rate > 0 else 0


def _on_some(act: Act, images: tf.Tensor, picked: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Change the images of the numbers `picked`."""
    if picked.shape[0] == images.shape[0]:
        return act(images, key)
    changed = act(tf.gather(images, picked), key)
    return tf.tensor_scatter_nd_update(images, picked[:, None], changed)


def _on_slice(
    mix: Mix,
    images: tf.Tensor,
    labels: tf.Tensor,
    start: int,
    stop: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix images start:stop of the batch among themselves; batches arrive shuffled."""
    if stop - start < 2:
        return images, labels
    mixed, shares = mix(images[start:stop], labels[start:stop])
    images = tf.concat([images[:start], mixed, images[stop:]], 0)
    labels = tf.concat([labels[:start], shares, labels[stop:]], 0)
    return images, labels
