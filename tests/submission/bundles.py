"""Bundles of tiny networks, written by hand: every image and every view gets another answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cells.files import new_h5
from submission.model import FORMAT, SEAL

PX, CLASSES = 4, ("round", "lobed", "flat")


def write_bundle(path: Path, members: int = 2, format_: int = FORMAT, **attrs: Any) -> Path:
    """weights.h5 in the folder `path`, which is returned: members of weight 1, 2, ... and one view.

    Member i says that an image takes it 100 * 10^i operations. attrs: the bundle's, lists as JSON;
    None leaves one out.
    """
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    about = {"classes": CLASSES, "image_px": PX, "views": ["identity"], "kind": "bundle", **attrs}
    with new_h5(path / "weights.h5", seal=SEAL if format_ > 1 else b"") as file:
        file.attrs["format"] = format_
        for key, value in about.items():
            if value is not None:
                file.attrs[key] = json.dumps(value) if isinstance(value, list | tuple) else value
        for index in range(members):
            group = file.create_group(f"members/{index:02}")
            group.attrs.update(name=f"m{index}", weight=index + 1.0)
            group.attrs.update(image_px=PX, classes=json.dumps(CLASSES))
            group["program"] = json.dumps(linear(100 * 10**index))
            kernel = rng.normal(0, 4e-3, (PX * PX * 3, 3))
            # of sum 0: else the images' brightness alone would say the class
            group["arrays/k"] = (kernel - kernel.mean(axis=0)).astype(np.float32)
    return path


def linear(operations: int) -> dict[str, Any]:
    """The program of one dense layer on the pixels."""
    ops = [
        {"op": "flatten", "in": [0], "out": 1, "arrays": {}, "attrs": {}},
        {"op": "dense", "in": [1], "out": 2, "arrays": {"kernel": "k"}, "attrs": {}},
        {"op": "softmax", "in": [2], "out": 3, "arrays": {}, "attrs": {}},
    ]
    return {"ops": ops, "logits": 2, "output": 3, "operations": operations}
