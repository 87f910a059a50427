"""A member's predictions on rows it has not seen, made by the runtime that is uploaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cells.dataset import Dataset
from cells.errors import RunError
from cells.files import replacing_h5
from submission.model import RUNTIME_VERSION, VIEWS, Network, read_member
from trainers.runs import AGAIN, read_recipe

FORMAT = 1


def predict_run(folder: Path, dataset: Dataset, report: Callable[[str], None]) -> dict[str, Any]:
    """Write predictions.h5 from member.h5: held-out and test rows, clean and shifted, all views.

    Returns {"labels" (n,), "clean" (n, classes), "shifted" (n, classes)} of the held-out rows,
    unturned. Raises RunError when the run belongs to another dataset or its member is missing.
    """
    about = read_recipe(folder)
    if about["data_fingerprint"] != dataset.fingerprint:
        raise RunError(
            f"{folder}: trained on dataset {about['data_fingerprint']}, this one is "
            f"{dataset.fingerprint}. Train again, or prepare that archive."
        )
    try:
        network = read_member(folder / "member.h5")
        with h5py.File(folder / "member.h5") as file:
            member_fingerprint = str(file.attrs["member_fingerprint"])
    except ValueError as error:
        raise RunError(f"{error} {AGAIN}") from None
    rows, test_rows = dataset.held_out_rows(about["fold"]), dataset.test_rows()
    made: dict[str, np.ndarray] = {"rows": rows, "test_rows": test_rows}
    for name, prefix, which in (("held-out", "", rows), ("test", "test_", test_rows)):
        made[f"{prefix}clean"] = _views(network, dataset.images(which), report, f"{name} clean")
        made[f"{prefix}shifted"] = _views(
            network, dataset.shifted(which), report, f"{name} shifted"
        )
    with replacing_h5(folder / "predictions.h5") as file:
        file.attrs.update(
            {
                "kind": "predictions",
                "format": FORMAT,
                "run": about["run"],
                "name": about["name"],
                "preset": about["preset"],
                "fold": about["fold"],
                "classes": json.dumps(list(dataset.classes)),
                "data_fingerprint": dataset.fingerprint,
                "member_fingerprint": member_fingerprint,
                "runtime_version": RUNTIME_VERSION,
                "views": json.dumps(list(VIEWS)),
            }
        )
        for key, array in made.items():
            file[key] = array
    return {
        "labels": dataset.labels[rows],
        "clean": made["clean"][:, 0],
        "shifted": made["shifted"][:, 0],
    }


def _views(
    network: Network, images: np.ndarray, report: Callable[[str], None], what: str
) -> np.ndarray:
    """(n, views, classes) float32."""
    report(f"predicting {what} images: {len(images)} in {len(VIEWS)} views")
    return np.stack([network.probs(images, view) for view in VIEWS], axis=1)
