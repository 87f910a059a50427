"""Table of `trainers.bench` on storage and precision: what they do to a trained member's answers.

    bcsub train custom-cnn --preset cpu --set storage=float32
    python -m trainers.bench storage --trained runs/custom-cnn-…/fold-0/member.h5

compares on the rows that the member held out, as they are and shifted, each in eight views.
"""

import json
import tempfile
from pathlib import Path
from typing import get_args

import h5py
import numpy as np
from rich.table import Table

import submission.model
from cells.dataset import Dataset
from cells.files import new_h5
from submission.model import VIEWS, Network, read_member, turn
from trainers.storage import Storage, pack_array


def repacked(source: Path, target: Path, storage: Storage) -> None:
    """The member of `source`, its kernels stored in another way."""
    target.unlink(missing_ok=True)
    with h5py.File(source) as member, new_h5(target, seal=submission.model.SEAL) as file:
        file.attrs.update(member.attrs)
        member.copy("program", file)
        ops = json.loads(member["program"][()])["ops"]
        kernels = {step["arrays"].get("kernel"): step["op"] == "depthwise" for step in ops}
        for key, item in member["arrays"].items():
            array = submission.model._float32(*submission.model._stored(item))
            kept = storage if key in kernels else "float32"
            stored = pack_array(array, kept, kernels.get(key, False))
            names = [key] if len(stored) == 1 else [f"{key}/values", f"{key}/scale"]
            for name, part in zip(names, stored, strict=True):
                file[f"arrays/{name}"] = part


def storage(members: list[Path], dataset: Dataset) -> Table:
    """Size and agreement with what the file itself says, for each storage, and for bfloat16."""
    table = Table(title="Storage of trained members: the same class as computed from the file")
    for column in ("member", "kept as", "MB", "of float32", "images", "same class", "accuracy"):
        table.add_column(column, justify="left" if column in ("member", "kept as") else "right")
    for path in members:
        with h5py.File(path) as file:
            fold = int(file.attrs["fold"])
        rows = dataset.held_out_rows(fold)
        seen = np.concatenate([dataset.images(rows), dataset.shifted(rows)])
        images = np.concatenate([turn(seen, view) for view in VIEWS])
        labels = np.tile(dataset.labels[rows], 2 * len(VIEWS))
        expected = _labels(read_member(path), images)
        with tempfile.TemporaryDirectory() as folder:
            files = {each: Path(folder) / f"{each}.h5" for each in get_args(Storage)}
            for each, target in files.items():
                repacked(path, target, each)
            whole = files["float32"].stat().st_size
            ways = {each: (target, False) for each, target in files.items()}
            ways["float32, in bfloat16"] = files["float32"], True
            for way, (target, low) in ways.items():
                network = read_member(target, bfloat16=low)
                found, size = _labels(network, images), target.stat().st_size
                table.add_row(
                    path.parent.parent.name,
                    way if network.bfloat16 is low else f"{way}: slower, not used",
                    f"{size / 1e6:.2f}",
                    f"{size / whole:.1%}",
                    f"{len(images)}",
                    f"{(found == expected).mean():.2%}",
                    f"{(found == labels).mean():.2%}",
                )
    return table


def _labels(network: Network, images: np.ndarray) -> np.ndarray:
    return network.probs(images).argmax(axis=1)
