"""ConvNeXt-Small, 50 M parameters: ImageNet weights; the head first, then all at a low rate.

Run:    bcsub train convnext-small
Result: six epochs from scratch on a GPU, .688 clean, .549 shifted (docs/results.md)
Source: Liu et al. 2022, arXiv:2201.03545
"""

from typing import Any

import keras

from trainers.convnext import build_convnext, copy_stock_weights
from trainers.policies import STRONG
from trainers.recipe import HeadPhase, Phase, Recipe
from trainers.stock import Stock

RECIPE = Recipe(
    name="convnext-small",
    weights="imagenet",
    network_px=192,
    widths=(96, 192, 384, 768),
    depths=(3, 3, 27, 3),
    layer_scale=1e-6,
    dropout=0.4,
    drop_path=0.3,
    l1=1e-6,
    l2=1e-5,
    batch=256,
    weight_decay=0.05,
    label_smoothing=0.1,
    ema_momentum=0.999,
    head=HeadPhase(epochs=8, peak_lr=1e-3, warmup_epochs=0.5, patience=4),
    whole=Phase(epochs=30, peak_lr=2e-4, warmup_epochs=1, patience=8),
    policy=STRONG,
)

PRESETS: dict[str, dict[str, Any]] = {"full": {}}

STOCK: Stock | None = Stock(
    keras.applications.ConvNeXtSmall,
    "convnext_small_notop.h5",
    "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    copy_stock_weights,
)


def build(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """Images (n, image_px, image_px, 3), 0-255, to logits (n, classes)."""
    return build_convnext(recipe, image_px, classes)
