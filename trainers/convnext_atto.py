"""A ConvNeXt of Atto's kind, narrower still, trained from scratch where there is no GPU.

So that half an hour on two cores holds enough epochs. Atto itself is
`--set widths=40,80,160,320 --set depths=2,2,6,2`.

Run:    bcsub train convnext-atto --preset cpu
Result: docs/results.md
Source: Liu et al. 2022, arXiv:2201.03545; widths and depths as in timm's convnext_zepto.
"""

from typing import Any

import keras

from trainers.convnext import build_convnext
from trainers.policies import BRIEF
from trainers.recipe import Phase, Recipe
from trainers.stock import Stock

RECIPE = Recipe(
    name="convnext-atto",
    network_px=64,  # fewer pixels, and for the same time more epochs
    widths=(32, 64, 128, 256),
    depths=(2, 2, 4, 2),
    layer_scale=0.1,  # from 1e-6 a short training from scratch would not leave the ground
    batch=32,
    weight_decay=0.05,
    label_smoothing=0.05,
    ema_momentum=0.995,
    whole=Phase(epochs=20, peak_lr=1.5e-3, warmup_epochs=1),
    policy=BRIEF,
    inner_fraction=0.06,
)

PRESETS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "demo": {
        "widths": (16, 32, 64, 96),
        "depths": (1, 1, 2, 1),
        "batch": 32,
        "ema_momentum": 0.95,
        "whole": {"epochs": 8, "peak_lr": 4e-3, "warmup_epochs": 0.5},
    },
}

STOCK: Stock | None = None


def build(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """Images (n, image_px, image_px, 3), 0-255, to logits (n, classes)."""
    return build_convnext(recipe, image_px, classes)
