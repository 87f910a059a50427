"""ConvNeXt-Base, 89 M parameters: ImageNet weights; the head first, then all at a low rate.

Run:    bcsub train convnext-base
Result: none on real images yet (docs/results.md)
Source: Liu et al. 2022, arXiv:2201.03545
"""

from typing import Any

import keras

from trainers.convnext import build_convnext, copy_stock_weights
from trainers.policies import STRONG
from trainers.recipe import HeadPhase, Phase, Recipe
from trainers.stock import Stock

RECIPE = Recipe(
    name="convnext-base",
    weights="imagenet",
    network_px=160,
    widths=(128, 256, 512, 1024),
    depths=(3, 3, 27, 3),
    layer_scale=1e-6,
    dropout=0.4,
    drop_path=0.4,
    l1=1e-6,
    l2=1e-5,
    batch=128,
    weight_decay=0.05,
    label_smoothing=0.1,
    ema_momentum=0.999,
    head=HeadPhase(epochs=8, peak_lr=1e-3, warmup_epochs=0.5, patience=4),
    whole=Phase(epochs=30, peak_lr=1.5e-4, warmup_epochs=1, patience=8),
    policy=STRONG,
)

PRESETS: dict[str, dict[str, Any]] = {"full": {}}

STOCK: Stock | None = Stock(
    keras.applications.ConvNeXtBase,
    "convnext_base_notop.h5",
    "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    copy_stock_weights,
)


def build(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """Images (n, image_px, image_px, 3), 0-255, to logits (n, classes)."""
    return build_convnext(recipe, image_px, classes)
