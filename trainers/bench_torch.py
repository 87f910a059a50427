"""ConvNeXt in PyTorch, as `trainers.bench` times it in an environment of its own, .venv-torch.

Run:    python bench_torch.py FOLDER REPEATS, where `trainers.bench_beside` has put ours.npz
Prints, as JSON, images a second in float32 and in bfloat16 (autocast): channels last, inference
mode, one batch. FOLDER gets logits.npy, to be compared with ours. Nothing of ours, and no Keras.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from torch import nn  # type: ignore[import-not-found]


class Scale(nn.Module):  # type: ignore[misc]
    """Times a number for each channel, the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Any) -> Any:  # noqa: D102
        return x * self.gamma


class Norm(nn.LayerNorm):  # type: ignore[misc]
    """Over the channels of (n, channels, height, width)."""

    def forward(self, x: Any) -> Any:  # noqa: D102
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):  # type: ignore[misc]
    """7x7 depthwise, norm, two dense layers with gelu between, layer scale, residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.branch = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            Scale(width),
        )

    def forward(self, x: Any) -> Any:  # noqa: D102
        y = self.branch(self.depthwise(x).permute(0, 2, 3, 1))
        return x + y.permute(0, 3, 1, 2)


def convnext(widths: list[int], depths: list[int], classes: int) -> Any:
    """Normalised images (n, 3, px, px) to logits; parameters in the order that Keras has them."""
    layers: list[Any] = [nn.Conv2d(3, widths[0], 4, 4), Norm(widths[0], eps=1e-6)]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            layers += [Norm(widths[stage - 1], eps=1e-6), nn.Conv2d(widths[stage - 1], width, 2, 2)]
        layers += [Block(width) for _ in range(depth)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(widths[-1], eps=1e-6)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def rate(network: Any, images: Any, repeats: int) -> float:
    """Median images a second, after two calls to warm up."""
    took = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        network(images)
        took.append(time.perf_counter() - start)
    return len(images) / statistics.median(took[2:])


def main(folder: Path, repeats: int) -> None:
    """Time the network in `folder`, and leave its logits there."""
    ours = np.load(folder / "ours.npz")
    network = convnext(ours["widths"].tolist(), ours["depths"].tolist(), 8).eval()
    arrays = [ours[name] for name in sorted(name for name in ours if name.isdigit())]
    axes = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
    with torch.inference_mode():
        for parameter, array in zip(network.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array.transpose(axes[array.ndim])))
        network = network.to(memory_format=torch.channels_last)
        images = torch.from_numpy(ours["images"].transpose(0, 3, 1, 2))
        images = images.contiguous(memory_format=torch.channels_last)
        np.save(folder / "logits.npy", network(images).numpy())
        rates = {"float32": rate(network, images, repeats)}
        with torch.autocast("cpu", torch.bfloat16):
            rates["bfloat16"] = rate(network, images, repeats)
    print(json.dumps({**rates, "version": torch.__version__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
