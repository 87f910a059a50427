"""A residual CNN of our own, small enough for two CPU cores, trained from scratch.

Run:    bcsub train custom-cnn
Result: docs/results.md
Source: He et al. 2015, arXiv:1512.03385 (residual blocks); He et al. 2019, arXiv:1812.01187
        (average pooling in the shortcut).
"""

from typing import Any

import keras
from keras import layers

from trainers.layers import DropPath
from trainers.networks import drop_rates, first_layers, head, own_field
from trainers.policies import BRIEF, STRONG
from trainers.recipe import Phase, Recipe
from trainers.stock import Stock

RECIPE = Recipe(
    name="custom-cnn",
    widths=(48, 96, 192, 384),
    depths=(2, 2, 2, 2),
    dropout=0.3,
    norm_momentum=0.95,
    batch=128,
    weight_decay=0.02,
    label_smoothing=0.05,
    ema_momentum=0.998,
    whole=Phase(epochs=150, peak_lr=2e-3, warmup_epochs=3, patience=40),
    policy=STRONG,
)

PRESETS: dict[str, dict[str, Any]] = {
    "full": {},
    "cpu": {  # fewer pixels, and for the same time more epochs
        "network_px": 72,
        "widths": (32, 64, 128, 256),
        "depths": (0, 1, 1, 1),
        "dropout": 0.0,
        "batch": 64,
        "inner_fraction": 0.06,
        "ema_momentum": 0.99,
        "whole": {"epochs": 27, "peak_lr": 3e-3, "warmup_epochs": 1, "patience": 0},
        "policy": BRIEF.model_dump(),
    },
    "demo": {
        "widths": (16, 32, 64, 96),
        "depths": (0, 1, 1, 1),
        "dropout": 0.1,
        "batch": 32,
        "ema_momentum": 0.95,
        "whole": {"epochs": 8, "peak_lr": 4e-3, "warmup_epochs": 0.5, "patience": 0},
        "policy": BRIEF.model_dump(),
    },
}

STOCK: Stock | None = None


def build(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """Images (n, image_px, image_px, 3), 0-255, to logits (n, classes)."""
    momentum = own_field(recipe, "norm_momentum")
    images = keras.Input((image_px, image_px, 3), name="images")
    x = first_layers(images, recipe, image_px)
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(x)
    x = _conv_norm(x, momentum, recipe.widths[0], 3, strides=2, name="stem")
    x = layers.Activation("relu", name="stem_relu")(x)
    rates = iter(drop_rates(recipe, sum(recipe.depths)))
    for stage, (width, depth) in enumerate(zip(recipe.widths, recipe.depths, strict=True)):
        for block in range(depth):
            strides = 2 if stage and not block else 1
            x = _block(x, momentum, width, strides, next(rates), f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, head(x, recipe, classes), name="custom_cnn")


def _block(
    x: keras.KerasTensor, momentum: float, width: int, strides: int, drop_rate: float, name: str
) -> keras.KerasTensor:
    y = _conv_norm(x, momentum, width, 3, strides, f"{name}_a")
    y = layers.Activation("relu", name=f"{name}_a_relu")(y)
    y = _conv_norm(y, momentum, width, 3, 1, f"{name}_b")
    if drop_rate:
        y = DropPath(drop_rate, name=f"{name}_drop_path")(y)
    if strides > 1:
        x = layers.AveragePooling2D(strides, padding="same", name=f"{name}_shortcut_pool")(x)
    if x.shape[-1] != width:
        x = _conv_norm(x, momentum, width, 1, 1, f"{name}_shortcut")
    return layers.Activation("relu", name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _conv_norm(
    x: keras.KerasTensor, momentum: float, width: int, kernel: int, strides: int, name: str
) -> keras.KerasTensor:
    conv = layers.Conv2D(
        width, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )
    x = conv(x)
    return layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
