"""ConvNeXt-Atto: the smallest of the family, trained from scratch where there is no GPU.

Run:    bcsub train convnext-atto --preset cpu
Result: docs/results.md
Source: Liu et al. 2022, arXiv:2201.03545; widths and depths as in timm's convnext_atto.
"""

from typing import Any

import keras

from trainers.convnext import build_convnext
from trainers.policies import STRONG, UNMIXED
from trainers.recipe import Phase, Recipe

RECIPE = Recipe(
    name="convnext-atto",
    widths=(40, 80, 160, 320),
    depths=(2, 2, 6, 2),
    layer_scale=0.1,  # from 1e-6 a short training from scratch would not leave the ground
    dropout=0.1,
    batch=32,
    weight_decay=0.05,
    label_smoothing=0.05,
    ema_momentum=0.995,
    whole=Phase(epochs=14, peak_lr=1e-3, warmup_epochs=1),
    policy=STRONG,
    inner_fraction=0.06,
)

PRESETS: dict[str, dict[str, Any]] = {
    "cpu": {  # narrower than Atto: in half an hour more epochs bring more than more channels
        "widths": (32, 64, 128, 256),
        "depths": (2, 2, 4, 2),
        "dropout": 0.0,
        "whole": {"epochs": 16, "peak_lr": 1.5e-3},
        "policy": UNMIXED,
    },
    "demo": {
        "widths": (16, 32, 64, 96),
        "depths": (1, 1, 2, 1),
        "dropout": 0.0,
        "batch": 32,
        "ema_momentum": 0.95,
        "whole": {"epochs": 8, "peak_lr": 4e-3, "warmup_epochs": 0.5},
    },
}


def build(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """Images (n, image_px, image_px, 3), 0-255, to logits (n, classes)."""
    return build_convnext(recipe, image_px, classes)
