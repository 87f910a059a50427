"""The augmentation policy: KerasCV's layers inside `tf.data`, each on its share of every batch.

This is the only file that imports keras_cv. What it builds works on tensors in the input pipeline
and is never part of a saved network. Pixels stay 0-255 throughout.

A layer sees only the images it will change: of a batch of 64 a rate of .25 gives it 16, picked
anew each batch. That is what makes a dozen layers affordable on two cores.

Who is picked and what `cells.stateless` does follow from the key of the batch to the bit. KerasCV's
layers draw from streams that `seed` starts; with several threads the order in which the batches
draw from them is nobody's to say.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras_cv
import numpy as np
import tensorflow as tf

from cells.policy import Dose, Policy
from cells.stateless import flip, noise, split_rotate

VALUES = (0, 255)
BLACK: dict[str, Any] = {"fill_mode": "constant", "fill_value": 0.0}

# images (n, px, px, 3) float32 and a key (2,) int64 to the changed images
Act = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Doses = list[tuple[Dose, Callable[[float], Act]]]


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
        for dose, make in _doses(policy, image_px, seed, in_order)
        if dose.rate > 0
    ]
    mix = keras_cv.layers.MixUp(alpha=max(policy.mixup.strength, 1e-3), seed=seed)
    cut = keras_cv.layers.CutMix(alpha=max(policy.cutmix.strength, 1e-3), seed=seed + 1)
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
        images, labels = _on_slice(_mix_up, mix, images, labels, 0, mixed)
        images, labels = _on_slice(_cut_mix, cut, images, labels, mixed, mixed + cut_mixed)
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


# ---- the layers ----------------------------------------------------------------------------------


def _doses(policy: Policy, image_px: int, seed: int, in_order: bool) -> Doses:
    """(dose, what makes it act) in the order they act: geometry, colour, mixtures, occlusion."""
    numbers = np.random.default_rng(seed)

    def own_seed() -> int:
        return int(numbers.integers(1, 2**31 - 1))

    return [
        (Dose(rate=policy.flip), lambda s: flip),
        (policy.split_rotate, lambda s: split_rotate),
        *_geometry(policy, own_seed),
        *_colour(policy, own_seed),
        *_focus(policy, own_seed, image_px),
        *_several(policy, own_seed, in_order),
        *_occlusion(policy, own_seed, in_order),
    ]


def _loop(layer: Any, in_order: bool) -> Act:
    layer.in_order = in_order
    return _layer(layer)


def _layer(layer: Any) -> Act:
    """One of KerasCV's, which draws from its own stream."""
    return lambda images, key: tf.cast(layer(images, training=True), tf.float32)


def _geometry(policy: Policy, own_seed: Callable[[], int]) -> Doses:
    layers = keras_cv.layers
    return [
        (policy.rotate, lambda s: _layer(layers.RandomRotation(s, seed=own_seed(), **BLACK))),
        (
            policy.translate,
            lambda s: _layer(layers.RandomTranslation(s, s, seed=own_seed(), **BLACK)),
        ),
        (policy.zoom, lambda s: _layer(layers.RandomZoom((-s / 2, s), seed=own_seed(), **BLACK))),
        (policy.shear, lambda s: _layer(layers.RandomShear(s, s, seed=own_seed(), **BLACK))),
    ]


def _colour(policy: Policy, own_seed: Callable[[], int]) -> Doses:
    layers = keras_cv.layers
    return [
        (policy.hue, lambda s: _layer(layers.RandomHue(s, VALUES, seed=own_seed()))),
        (
            policy.saturation,
            lambda s: _layer(layers.RandomSaturation((0.5 - s / 2, 0.5 + s / 2), seed=own_seed())),
        ),
        (policy.brightness, lambda s: _layer(layers.RandomBrightness(s, VALUES, seed=own_seed()))),
        (policy.contrast, lambda s: _layer(layers.RandomContrast(VALUES, s, seed=own_seed()))),
        (
            policy.channel_shift,
            lambda s: _layer(layers.RandomChannelShift(VALUES, s, seed=own_seed())),
        ),
        (policy.channel_shuffle, lambda s: _layer(layers.ChannelShuffle(3, seed=own_seed()))),
        (policy.grayscale, lambda s: _layer(layers.Grayscale(3))),
        (policy.solarize, lambda s: _layer(_solarization(s, own_seed()))),
        (
            policy.posterize,
            lambda s: _layer(layers.Posterization(VALUES, bits=max(1, round(8 - 7 * s)))),
        ),
    ]


def _focus(policy: Policy, own_seed: Callable[[], int], image_px: int) -> Doses:
    kernel_px = max(3, image_px // 12 | 1)
    return [
        (
            policy.blur,
            lambda s: _layer(
                keras_cv.layers.RandomGaussianBlur(kernel_px, (0.0, 4 * s), seed=own_seed())
            ),
        ),
        (policy.noise, lambda s: noise(255 * s)),
    ]


def _several(policy: Policy, own_seed: Callable[[], int], in_order: bool) -> Doses:
    return [
        (
            policy.rand_augment,
            lambda s: _loop(
                RandAugment(
                    VALUES,
                    augmentations_per_image=policy.rand_augment_ops,
                    magnitude=s,
                    magnitude_stddev=policy.rand_augment_stddev,
                    seed=own_seed(),
                ),
                in_order,
            ),
        ),
        (policy.augmix, lambda s: _loop(AugMix(max(s, 0.01), own_seed()), in_order)),
    ]


def _occlusion(policy: Policy, own_seed: Callable[[], int], in_order: bool) -> Doses:
    layers = keras_cv.layers
    return [
        (
            policy.grid_mask,
            lambda s: _loop(GridMask((0.2, max(0.2, s)), seed=own_seed()), in_order),
        ),
        (
            policy.cutout,
            lambda s: _layer(
                layers.RandomCutout((min(0.1, s), s), (min(0.1, s), s), seed=own_seed())
            ),
        ),
    ]


def _solarization(strength: float, seed: int) -> Any:
    return keras_cv.layers.Solarization(
        VALUES, threshold_factor=(255 * (1 - strength), 255), seed=seed
    )


class _Loops:
    """For KerasCV's layers that loop over images: draws follow their order where it matters."""

    in_order = False

    def _map_fn(self, func: Callable[[Any], Any], inputs: Any) -> Any:
        return tf.map_fn(func, inputs, parallel_iterations=1 if self.in_order else None)


class GridMask(_Loops, keras_cv.layers.GridMask):
    """KerasCV's GridMask."""


class RandAugment(_Loops, keras_cv.layers.RandAugment):
    """KerasCV's RandAugment."""


class AugMix(_Loops, keras_cv.layers.AugMix):
    """KerasCV's AugMix with a severity that says how far an image goes.

    As published there, a low severity posterizes and solarizes most, the angle is in radians where
    degrees are meant, and the ninth of its nine changes never comes.
    """

    def __init__(self, severity: float, seed: int) -> None:
        super().__init__(VALUES, severity=severity, seed=seed)
        self.negative = _solarization(severity, seed + 1)
        self.turn = keras_cv.layers.RandomRotation(severity * 30 / 360, seed=seed + 2)

    def _loop_on_depth(self, depth: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        which = self._random_generator.uniform((), 0, 9, tf.int32)
        return depth + 1, self._apply_op(image, which)

    def _solarize(self, image: tf.Tensor) -> tf.Tensor:
        return self.negative(image)

    def _rotate(self, image: tf.Tensor) -> tf.Tensor:
        return self.turn(image)

    def _posterize(self, image: tf.Tensor) -> tf.Tensor:
        lost_bits = tf.round(4 * self.severity_factor())
        step = 2.0**lost_bits
        return tf.floor(image / step) * step


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
    act: Callable[[Any, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    layer: Any,
    images: tf.Tensor,
    labels: tf.Tensor,
    start: int,
    stop: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix images start:stop of the batch among themselves; batches arrive shuffled."""
    if stop - start < 2:
        return images, labels
    mixed, shares = act(layer, images[start:stop], labels[start:stop])
    images = tf.concat([images[:start], mixed, images[stop:]], 0)
    labels = tf.concat([labels[:start], shares, labels[stop:]], 0)
    return images, labels


def _mix_up(layer: Any, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    part = layer({"images": images, "labels": labels}, training=True)
    return part["images"], part["labels"]


def _cut_mix(layer: Any, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """CutMix with the shares that one sees.

    KerasCV counts a box whole where half of it lies outside the image. So the labels are painted
    over their images, cut and pasted with them, and averaged.
    """
    painted = tf.ones_like(images[..., :1]) * labels[:, None, None, :]
    inputs = {"images": images, "labels": labels, "segmentation_masks": painted}
    part = layer(inputs, training=True)
    return part["images"], tf.reduce_mean(part["segmentation_masks"], axis=(1, 2))
