"""Small synthetic roots: a dataset of three classes, and runs whose probabilities tests choose."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from cells.competition import Competition
from cells.dataset import Dataset, open_dataset, write_dataset
from ensemble.members import VIEW_NAMES
from submission.model import RUNTIME_VERSION

CLASSES = ("round", "lobed", "flat")
ROWS = 120  # 0-95 train in folds 0 and 1 by turns, 96-119 test


def sure(labels: np.ndarray, p: np.ndarray | float, views: int = len(VIEW_NAMES)) -> np.ndarray:
    """(rows, views, 3): probability `p` for the label, the rest shared by the other two."""
    p = np.broadcast_to(p, len(labels))
    probs = np.repeat(((1 - p) / 2)[:, None], 3, axis=1)
    probs[np.arange(len(labels)), labels] = p
    return np.repeat(probs[:, None], views, axis=1).astype(np.float32)


def write_member(path: Path, dataset: Dataset, mark: str, seed: int = 0) -> None:
    """A member.h5 that runs: flatten, dense, softmax; `mark` is its fingerprint."""
    rng = np.random.default_rng(seed)
    program = {
        "ops": [
            {"op": "flatten", "in": [0], "out": 1, "arrays": {}, "attrs": {}},
            {"op": "dense", "in": [1], "out": 2, "arrays": {"kernel": "kernel"}, "attrs": {}},
            {"op": "softmax", "in": [2], "out": 3, "arrays": {}, "attrs": {}},
        ],
        "logits": 2,
        "output": 3,
    }
    with h5py.File(path, "w") as file:
        file.attrs.update(
            kind="member",
            format=1,
            name=path.parent.parent.name,
            classes=json.dumps(dataset.classes),
            image_px=dataset.competition.image_px,
            data_fingerprint=dataset.fingerprint,
            member_fingerprint=mark,
        )
        file["program"] = json.dumps(program)
        file["arrays/kernel"] = rng.normal(0, 2e-4, (16 * 16 * 3, 3)).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> SimpleNamespace:
    """A root with a dataset: .path, .dataset, .sure, .run(name, ...) writes one finished fold."""
    labels = np.arange(ROWS) // 2 % 3
    part = np.where(np.arange(ROWS) < 96, 0, 1)
    rng = np.random.default_rng(0)
    write_dataset(
        tmp_path / "work" / "dataset.h5",
        Competition(name="tiny", title="Tiny cells", classes=CLASSES, image_px=16),
        "data-one",
        2,
        ("blur", "noise"),
        rng.integers(0, 256, (ROWS, 16, 16, 3), dtype=np.uint8),
        rng.integers(0, 256, (ROWS, 16, 16, 3), dtype=np.uint8),
        {
            "labels": labels.astype(np.int64),
            "dropped": np.zeros(ROWS, np.uint8),
            "group": np.arange(ROWS, dtype=np.int32),
            "part": part.astype(np.int8),
            "fold": np.where(part == 0, np.arange(ROWS) % 2, -1).astype(np.int8),
            "shift_family": (np.arange(ROWS) // 6 % 2).astype(np.uint8),
            "shift_severity": np.full(ROWS, 3, np.uint8),
        },
    )
    dataset = open_dataset(tmp_path / "work" / "dataset.h5")
    return SimpleNamespace(
        path=tmp_path, dataset=dataset, run=_run_writer(tmp_path, dataset), sure=sure
    )


def _run_writer(root: Path, dataset: Dataset) -> Callable[..., Path]:
    def write(
        run: str,
        fold: int = 0,
        *,
        probs: Callable[[np.ndarray], np.ndarray] | None = None,
        test_probs: Callable[[np.ndarray], np.ndarray] | None = None,
        name: str | None = None,
        preset: str = "cpu",
        mark: str | None = None,
        seed: int = 0,
        **attrs: object,
    ) -> Path:
        """probs: labels (n,) -> (n, views, 3). attrs: what predictions.h5 says otherwise."""
        folder = root / "runs" / run / f"fold-{fold}"
        folder.mkdir(parents=True)
        mark = mark or f"{run}/{fold}"
        name = name or run.rsplit("-", 1)[0]
        predict = probs or (lambda labels: sure(labels, 0.6))
        recipe = {"run": run, "name": name, "preset": preset, "fold": fold}
        recipe["data_fingerprint"] = str(attrs.get("data_fingerprint", dataset.fingerprint))
        (folder / "recipe.json").write_text(json.dumps(recipe))
        write_member(folder / "member.h5", dataset, mark, seed)
        rows, test_rows = dataset.held_out_rows(fold), dataset.test_rows()
        on_rows = predict(dataset.labels[rows])
        on_test = (test_probs or predict)(dataset.labels[test_rows])
        with h5py.File(folder / "predictions.h5", "w") as file:
            file.attrs.update(kind="predictions", format=1, run=run, name=name, preset=preset)
            file.attrs.update(fold=fold, data_fingerprint=dataset.fingerprint)
            file.attrs.update(member_fingerprint=mark, runtime_version=RUNTIME_VERSION)
            file.attrs.update(classes=json.dumps(CLASSES), views=json.dumps(VIEW_NAMES))
            file.attrs.update(attrs)
            file["rows"], file["test_rows"] = rows, test_rows
            file["clean"], file["shifted"] = on_rows, on_rows
            file["test_clean"], file["test_shifted"] = on_test, on_test
        (folder / "DONE").write_text(json.dumps({"run": run, "fold": fold, "images_per_s": 9.0}))
        return folder

    return write
