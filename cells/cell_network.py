"""A small network that learns, on the archive itself, to tell cells from spoilt ones.

What it calls spoilt has the colours and the detail of cells and yet is none. No row is judged by a
network that has learnt from it: each half of the archive is judged by the other half's.
"""

from typing import Any

import cv2
import numpy as np

from cells.spoilt import spoil

PX = 48
WIDTH = 16  # channels of the first convolution
STEPS, BATCH = 400, 64  # of each half's training; half of a batch is spoilt
PEAK_LR, DECAY = 3e-3, 1e-3
SMOOTHING = 0.02
SPOILT = 6400  # pictures


def spoiltness(images: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """How much each picture looks like a spoilt cell rather than a cell.

    images: (n, px, px, 3) uint8. trusted: (n,) bool, rows to learn from.
    Returns (n,) float32, a logit; the mean over four orientations. The same for the same images.
    """
    small = np.stack([cv2.resize(i, (PX, PX), interpolation=cv2.INTER_AREA) for i in images])
    generator = np.random.default_rng(0)
    spoilt = spoil(small[trusted], SPOILT, generator)
    half = np.empty(len(small), int)
    half[generator.permutation(len(small))] = np.arange(len(small)) % 2
    out = np.empty(len(small), np.float32)
    for judged in range(2):
        network = _trained(small[trusted & (half != judged)], spoilt, generator)
        out[half == judged] = _logits(network, small[half == judged])
    return out


def _trained(cells: np.ndarray, spoilt: np.ndarray, generator: np.random.Generator) -> Any:
    import keras

    network = _network()
    rate = keras.optimizers.schedules.CosineDecay(PEAK_LR, STEPS)
    network.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=DECAY),
        loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
        jit_compile=False,
    )
    labels = np.repeat(np.array([[0.0], [1.0]], np.float32), BATCH // 2, axis=0)
    for _ in range(STEPS):
        rows = generator.integers(len(cells), size=BATCH // 2)
        others = generator.integers(len(spoilt), size=BATCH // 2)
        batch = _turned(np.concatenate([cells[rows], spoilt[others]]), generator)
        network.train_on_batch(batch.astype(np.float32), labels)
    return network


def _network() -> Any:
    import keras

    layers = keras.layers
    start = keras.initializers.HeNormal
    x = pixels = layers.Input((PX, PX, 3))
    x = layers.Rescaling(1 / 64, -2)(x)
    for number, width in enumerate((WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH)):
        x = layers.Conv2D(
            width, 3, strides=2 if number == 0 else 1, padding="same", use_bias=False,
            kernel_initializer=start(seed=number),
        )(x)  # fmt: skip
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
        if number in (1, 2):
            x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.3, seed=0)(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(1, kernel_initializer=start(seed=4))(x)
    return keras.Model(pixels, x)


def _turned(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each in one of eight orientations."""
    out = images.copy()
    turns = generator.integers(4, size=len(images))
    for each in range(1, 4):
        out[turns == each] = np.rot90(images[turns == each], each, axes=(1, 2))
    mirrored = generator.random(len(images)) < 0.5
    out[mirrored] = out[mirrored, :, ::-1]
    return out


def _logits(network: Any, images: np.ndarray) -> np.ndarray:
    total = np.zeros(len(images), np.float32)
    for turns in range(4):
        turned = np.ascontiguousarray(np.rot90(images, turns, axes=(1, 2)))
        total += network.predict(turned.astype(np.float32), batch_size=256, verbose=0)[:, 0]
    return total / 4
