"""A trained Keras model that someone brings becomes a member like any other.

Its run is NAME-adopted-<8 hex digits of the file, the dataset and what was said about them>. It is
scored on the same held-out rows as the others; whether it has learnt from them, only who trained
it knows, and what they say stays with it.
"""

import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from cells.dataset import TRAIN_PART, Dataset
from cells.errors import ExportError, RunError
from cells.files import fingerprint, sha256, write_json
from cells.learnt import held_out, learnt_images
from submission.model import read_member
from trainers import catalog
from trainers.export import write_member
from trainers.runs import done
from trainers.storage import Storage
from trainers.train import report_run

PRESET = "adopted"
APART = 0.1  # probabilities may lie so far from Keras's: rounded kernels in a sensitive network

# What the model was trained on, and how 0-255 becomes that: scale and offset.
PIXELS: dict[str, tuple[float, float]] = {
    "0-255": (1, 0),
    "0-1": (1 / 255, 0),
    "-1-1": (2 / 255, -1),
}
Resize = Literal["nearest", "bilinear", "bicubic"]


@dataclass(frozen=True)
class Adopted:
    """What is said of a model that is brought.

    file: .keras, or a whole model in Keras's older .h5. trained_on: a dataset.h5 or a list of rows;
    None where nobody knows. fold: held out. pixels: a key of PIXELS. resize: how the images get the
    model's own size, where that is another one than the competition's.
    """

    file: Path
    name: str
    trained_on: Path | None = None
    fold: int = 0
    pixels: str = "0-255"
    resize: Resize | None = None
    storage: Storage = "float16"

    def fingerprint(self, dataset: Dataset) -> str:
        """16 hex digits of the file, the dataset and everything that is said."""
        rows = sha256(self.trained_on) if self.trained_on else ""
        said = [self.fold, self.pixels, self.resize, self.storage, rows]
        return fingerprint(sha256(self.file), dataset.fingerprint, *said)


def adopt(
    asked: Adopted, dataset: Dataset, runs: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write the model's run under `runs`: member.h5, predictions.h5, report.json, DONE.

    The same model adopted again is returned as it is. Returns what DONE says: run, name, fold,
    clean_accuracy, shifted_accuracy, seconds, held_out ("unseen", "seen" or "unknown"), said (the
    same in words), hint (what may be wrong where it only guesses, else "").
    Raises RunError for a name, file or list that does not fit, ExportError for what the runtime
    cannot express.
    """
    _check_name(asked.name)
    if not asked.file.is_file():
        raise RunError(f"{asked.file}: no such file. Save it with model.save('NAME.keras').")
    learnt = None
    if asked.trained_on is not None:
        learnt = learnt_images(asked.trained_on, dataset, asked.fold)
    known = held_out(dataset, asked.fold, learnt)
    identity = asked.fingerprint(dataset)
    run = f"{asked.name}-{PRESET}-{identity[:8]}"
    folder = runs / run / f"fold-{asked.fold}"
    before = done(folder)
    if before is not None:
        say(f"{run} fold {asked.fold}: adopted before")
        return before
    started = time.perf_counter()
    network = _whole(_load(asked.file), asked, dataset)
    about = {
        "run": run,
        "name": asked.name,
        "preset": PRESET,
        "fold": asked.fold,
        "recipe_fingerprint": identity,
        "data_fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "image_px": dataset.competition.image_px,
    }
    member = {key: value for key, value in about.items() if key != "preset"}
    write_member(folder / "member.h5", network, member, asked.storage)
    _check_agrees(folder / "member.h5", network, dataset, asked)
    write_json(
        folder / "recipe.json",
        {
            **about,
            "competition": dataset.competition.name,
            "file": asked.file.name,
            "file_sha256": sha256(asked.file),
            "trained_on": asked.trained_on.name if asked.trained_on else None,
            "pixels": asked.pixels,
            "resize": asked.resize,
            "storage": asked.storage,
            "held_out": known.state,
            "held_out_said": str(known),
        },
    )
    report = report_run(folder, dataset, say)
    summary = {
        "run": run,
        "name": asked.name,
        "fold": asked.fold,
        "clean_accuracy": report["clean"]["accuracy"],
        "shifted_accuracy": report["shifted"]["accuracy"],
        "seconds": round(time.perf_counter() - started, 1),
        "held_out": known.state,
        "said": str(known),
        "hint": _hint(report["clean"]["accuracy"], dataset),
    }
    write_json(folder / "DONE", summary)
    return summary


def _check_agrees(path: Path, network: keras.Model, dataset: Dataset, asked: Adopted) -> None:
    """Raises ExportError, and takes the member away, when it does not say what Keras says."""
    images = dataset.images(dataset.held_out_rows(asked.fold)[:16])
    expected = np.asarray(network.predict(images.astype(np.float32), verbose=0), np.float64)
    if (expected < 0).any() or not np.allclose(expected.sum(axis=1), 1, atol=1e-2):  # logits
        expected = np.exp(expected - expected.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
    apart = float(np.abs(read_member(path).probs(images) - expected).max())
    if not apart < APART:
        path.unlink()
        raise ExportError(
            f"{asked.file}: expected Keras's probabilities from the exported network, got some "
            f"{apart:.2f} apart. Nothing was adopted; --storage float32 shows whether rounding is "
            "it. Please report the model."
        )


def _hint(accuracy: float, dataset: Dataset) -> str:
    """What to look at when a model does hardly better than the commonest class."""
    labels = dataset.labels[dataset.part == TRAIN_PART]
    guess = float(np.bincount(labels).max() / len(labels))
    if accuracy > 1.5 * guess:
        return ""
    return (
        f"{accuracy:.4f} is hardly better than guessing ({guess:.4f}). Its classes must stand in "
        "the competition's order, and --pixels must say what it was trained on."
    )


def _check_name(name: str) -> None:
    """Raises RunError for a name that no folder should have, or that is a trainer's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise RunError(
            f"--name: expected letters, digits, '-', '_' and '.', got {name!r}. "
            "It becomes a folder's name."
        )
    if name in catalog.MEMBERS:
        raise RunError(
            f"--name: expected a name of its own, got {name}, which is a trainer's. "
            f"Call it {name}-own, for instance."
        )


def _load(file: Path) -> keras.Model:
    """Raises RunError for a file that holds no whole model, or one of classes unknown here."""
    try:
        return keras.saving.load_model(file, compile=False)
    # whatever is wrong with a file, Keras says it with ValueError, TypeError or an error of h5py's
    except (ValueError, TypeError, OSError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        text = " ".join(str(error).split())[:300]
        raise RunError(
            f"{file}: expected a whole Keras model, got a file that Keras {keras.__version__} "
            f"cannot load ({text}). Save it with model.save('NAME.keras'), without Lambda layers "
            "and classes of your own."
        ) from None


def _whole(network: keras.Model, asked: Adopted, dataset: Dataset) -> keras.Model:
    """From images of the competition's size, 0-255, to the model's answer.

    Raises RunError when sizes or classes do not fit.
    """
    classes, image_px = len(dataset.classes), dataset.competition.image_px
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise RunError(
            f"{asked.file}: expected one input and one output, got {len(network.inputs)} and "
            f"{len(network.outputs)}. Save the part from images to classes."
        )
    if network.outputs[0].shape[1:] != (classes,):
        raise RunError(
            f"{asked.file}: expected {classes} classes ({', '.join(dataset.classes)}, in this "
            f"order), got an output of shape {network.outputs[0].shape}. "
            "Train a head for this competition."
        )
    shape = network.inputs[0].shape[1:]
    if len(shape) != 3 or shape[2] != 3 or shape[0] != shape[1]:
        raise RunError(
            f"{asked.file}: expected images (px, px, 3), channels last, got {tuple(shape)}. "
            "Rebuild the model so."
        )
    own_px = shape[0] or image_px
    if own_px != image_px and asked.resize is None:
        raise RunError(
            f"{asked.file}: expected images of {image_px} px, got a model for {own_px} px. "
            "Say how it got them: --resize nearest, bilinear or bicubic."
        )
    images = keras.Input((image_px, image_px, 3))
    value = images
    if asked.pixels != "0-255":
        scale, offset = PIXELS[asked.pixels]
        value = keras.layers.Rescaling(scale, offset)(value)
    if own_px != image_px:
        value = keras.layers.Resizing(own_px, own_px, interpolation=asked.resize)(value)
    try:
        return keras.Model(images, network(value), name=network.name)
    except (ValueError, TypeError) as error:  # a layer's own check of what it is given
        raise ExportError(f"{asked.file}: {' '.join(str(error).split())[:300]}.") from None
