"""The augmentation policy: KerasCV's layers inside `tf.data`, each on its share of every batch.

This is the only file that imports keras_cv. What it builds works on tensors in the input pipeline
and is never part of a saved network. Pixels stay 0-255 throughout.

A layer sees only the images it will change: of a batch of 64 a rate of .25 gives it 16, picked
anew each batch. That is what makes a dozen layers affordable on two cores.
"""

from collections.abc import Callable
from typing import Any

import keras_cv
import numpy as np
import tensorflow as tf
from pydantic import BaseModel, ConfigDict, Field

VALUES = (0, 255)


class Dose(BaseModel):
    """How often an augmentation acts, and how strongly.

    rate: share of the images, 0-1. strength: 0-1, what it means stands at each field of `Policy`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float = Field(0.0, ge=0, le=1)
    strength: float = Field(0.5, ge=0, le=1)


class Policy(BaseModel):
    """The augmentation of one recipe. A rate of 0 leaves a layer out.

    Geometry fills with black, as the platform's images are. None of these is one of the two
    families of `cells.shift` that no policy may contain (elastic, jpeg).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: float = Field(1.0, ge=0, le=1)  # share of images that may be flipped, both ways
    rotate: Dose = Dose()  # strength 1: up to a full turn either way
    translate: Dose = Dose()  # strength: share of the side
    zoom: Dose = Dose()  # strength: how far out; in by half of that
    shear: Dose = Dose()  # strength: KerasCV's shear factor
    hue: Dose = Dose()  # strength 1: anywhere on the wheel
    saturation: Dose = Dose()  # strength 1: grey to fully saturated
    brightness: Dose = Dose()  # strength: share of 255
    contrast: Dose = Dose()  # strength: KerasCV's contrast factor
    channel_shift: Dose = Dose()  # strength: share of 127
    channel_shuffle: Dose = Dose()  # strength is not used: a permutation of three channels
    grayscale: Dose = Dose()  # strength is not used
    solarize: Dose = Dose()  # strength: how far below 255 the threshold may lie
    posterize: Dose = Dose()  # strength 1: down to 1 bit, 0: 8 bits
    blur: Dose = Dose()  # strength: sigma over 4 px
    noise: Dose = Dose()  # strength: largest standard deviation, share of 255
    rand_augment: Dose = Dose()  # strength: KerasCV's magnitude
    rand_augment_ops: int = Field(2, ge=1, le=8)
    rand_augment_stddev: float = Field(0.2, ge=0, le=1)  # of the magnitude
    grid_mask: Dose = Dose()  # strength: largest share of a cell that is masked
    cutout: Dose = Dose()  # strength: largest side of the hole, share of the image's
    mixup: Dose = Dose()  # strength: alpha of the Beta distribution
    cutmix: Dose = Dose()  # strength: alpha of the Beta distribution


def _noise(largest: float, seed: int) -> Callable[..., tf.Tensor]:
    """Gaussian noise, its standard deviation drawn per image up to `largest`; KerasCV has none."""

    def layer(images: tf.Tensor, training: bool) -> tf.Tensor:
        deviation = tf.random.uniform((images.shape[0], 1, 1, 1), 0.0, largest, seed=seed)
        noise = tf.random.normal(images.shape, seed=seed + 1)
        return tf.clip_by_value(images + deviation * noise, 0.0, 255.0)

    return layer


def _layers(policy: Policy, image_px: int, seed: int) -> list[tuple[float, Any]]:
    """(rate, layer) in the order they act: geometry, colour, RandAugment, occlusion."""
    layers = keras_cv.layers
    numbers = np.random.default_rng(seed)

    def own_seed() -> int:
        return int(numbers.integers(2**31 - 1))

    black: dict[str, Any] = {"fill_mode": "constant", "fill_value": 0.0}
    kernel_px = max(3, image_px // 12 | 1)
    makers: list[tuple[Dose, Callable[[float], Any]]] = [
        (
            Dose(rate=policy.flip),
            lambda s: layers.RandomFlip("horizontal_and_vertical", seed=own_seed()),
        ),
        (policy.rotate, lambda s: layers.RandomRotation(s, seed=own_seed(), **black)),
        (policy.translate, lambda s: layers.RandomTranslation(s, s, seed=own_seed(), **black)),
        (policy.zoom, lambda s: layers.RandomZoom((-s / 2, s), seed=own_seed(), **black)),
        (policy.shear, lambda s: layers.RandomShear(s, s, seed=own_seed(), **black)),
        (policy.hue, lambda s: layers.RandomHue(s, VALUES, seed=own_seed())),
        (
            policy.saturation,
            lambda s: layers.RandomSaturation((0.5 - s / 2, 0.5 + s / 2), seed=own_seed()),
        ),
        (policy.brightness, lambda s: layers.RandomBrightness(s, VALUES, seed=own_seed())),
        (policy.contrast, lambda s: layers.RandomContrast(VALUES, s, seed=own_seed())),
        (policy.channel_shift, lambda s: layers.RandomChannelShift(VALUES, s, seed=own_seed())),
        (policy.channel_shuffle, lambda s: layers.ChannelShuffle(3, seed=own_seed())),
        (policy.grayscale, lambda s: layers.Grayscale(3)),
        (
            policy.solarize,
            lambda s: layers.Solarization(
                VALUES, threshold_factor=(255 * (1 - s), 255), seed=own_seed()
            ),
        ),
        (policy.posterize, lambda s: layers.Posterization(VALUES, bits=max(1, round(8 - 7 * s)))),
        (
            policy.blur,
            lambda s: layers.RandomGaussianBlur(kernel_px, (0.0, 4 * s), seed=own_seed()),
        ),
        (policy.noise, lambda s: _noise(255 * s, own_seed())),
        (
            policy.rand_augment,
            lambda s: layers.RandAugment(
                VALUES,
                augmentations_per_image=policy.rand_augment_ops,
                magnitude=s,
                magnitude_stddev=policy.rand_augment_stddev,
                seed=own_seed(),
            ),
        ),
        (policy.grid_mask, lambda s: layers.GridMask((0.2, max(0.2, s)), seed=own_seed())),
        (
            policy.cutout,
            lambda s: layers.RandomCutout((min(0.1, s), s), (min(0.1, s), s), seed=own_seed()),
        ),
    ]
    return [(dose.rate, make(dose.strength)) for dose, make in makers if dose.rate > 0]


def augmenter(
    policy: Policy, image_px: int, batch: int, seed: int
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function for `tf.data.Dataset.map` over batches of exactly `batch` images.

    It takes images (batch, px, px, 3) of any number type 0-255 and labels (batch, classes) float32
    that sum to 1, and gives both as float32, augmented and mixed. Layers are seeded from `seed`;
    a parallel map still makes the sequence unrepeatable.
    """
    layers = [(_share(rate, batch), layer) for rate, layer in _layers(policy, image_px, seed)]
    mix = keras_cv.layers.MixUp(alpha=max(policy.mixup.strength, 1e-3), seed=seed)
    cut = keras_cv.layers.CutMix(alpha=max(policy.cutmix.strength, 1e-3), seed=seed + 1)
    mixed, cut_mixed = _share(policy.mixup.rate, batch), _share(policy.cutmix.rate, batch)
    if mixed + cut_mixed > batch:
        mixed = batch - cut_mixed

    def augment(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.ensure_shape(tf.cast(images, tf.float32), (batch, image_px, image_px, 3))
        for count, layer in layers:
            images = _on_some(layer, images, count, batch)
        images, labels = _on_slice(_mix_up, mix, images, labels, 0, mixed)
        images, labels = _on_slice(_cut_mix, cut, images, labels, mixed, mixed + cut_mixed)
        return tf.clip_by_value(images, 0.0, 255.0), labels

    return augment


def _share(rate: float, batch: int) -> int:
    """How many of a batch an augmentation gets: at least one when its rate is above 0."""
    return max(1, round(rate * batch)) if rate > 0 else 0


def _on_some(layer: Any, images: tf.Tensor, count: int, batch: int) -> tf.Tensor:
    """Apply `layer` to `count` images of the batch, picked at random."""
    if count == batch:
        return tf.cast(layer(images, training=True), tf.float32)
    picked = tf.random.shuffle(tf.range(batch))[:count]
    changed = layer(tf.gather(images, picked), training=True)
    return tf.tensor_scatter_nd_update(images, picked[:, None], tf.cast(changed, tf.float32))


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
