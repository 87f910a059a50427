"""KerasCV's layers of the augmentation policy, each as a function of images and the batch's key.

This is the only file that imports keras_cv. What it builds works on tensors in the input pipeline
and is never part of a saved network. Pixels stay 0-255 throughout.
"""

from collections.abc import Callable
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
# images (n, px, px, 3) and labels (n, classes), float32, to both mixed
Mix = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def doses(policy: Policy, image_px: int, seed: int, in_order: bool) -> Doses:
    """(dose, what makes it act) in the order they act: geometry, colour, mixtures, occlusion.

    seed: starts the streams of KerasCV's layers. in_order: let those that loop over the images of a
    batch take one after the other.
    """
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
        image = self._apply_op(image, which)
        with tf.control_dependencies([image]):  # else the next may draw before this has drawn
            return depth + 1, image

    def _loop_on_width(
        self, image: tf.Tensor, weights: tf.Tensor, chain: tf.Tensor, result: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        image, weights, chain, result = super()._loop_on_width(image, weights, chain, result)
        with tf.control_dependencies([result]):
            return image, weights, tf.identity(chain), result

    def _solarize(self, image: tf.Tensor) -> tf.Tensor:
        return self.negative(image)

    def _rotate(self, image: tf.Tensor) -> tf.Tensor:
        return self.turn(image)

    def _posterize(self, image: tf.Tensor) -> tf.Tensor:
        lost_bits = tf.round(4 * self.severity_factor())
        step = 2.0**lost_bits
        return tf.floor(image / step) * step


def mix_up(alpha: float, seed: int) -> Mix:
    """KerasCV's MixUp. alpha: of the Beta distribution that draws the share."""
    layer = keras_cv.layers.MixUp(alpha=max(alpha, 1e-3), seed=seed)

    def mix(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        part = layer({"images": images, "labels": labels}, training=True)
        return part["images"], part["labels"]

    return mix


def cut_mix(alpha: float, seed: int) -> Mix:
    """KerasCV's CutMix with the shares that one sees. alpha: of the Beta distribution of areas.

    KerasCV counts a box whole where half of it lies outside the image. So the labels are painted
    over their images, cut and pasted with them, and averaged.
    """
    layer = keras_cv.layers.CutMix(alpha=max(alpha, 1e-3), seed=seed)

    def mix(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        painted = tf.ones_like(images[..., :1]) * labels[:, None, None, :]
        inputs = {"images": images, "labels": labels, "segmentation_masks": painted}
        part = layer(inputs, training=True)
        return part["images"], tf.reduce_mean(part["segmentation_masks"], axis=(1, 2))

    return mix
