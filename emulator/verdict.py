"""From what a run left behind to one verdict and one clear line."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emulator.supervise import Usage

VERDICTS = (
    "ok",
    "bad_zip",
    "import_error",
    "init_error",
    "predict_error",
    "bad_output",
    "timeout",
    "memory",
)

_PHASES = {
    "import": ("import_error", "importing model.py"),
    "init": ("init_error", "constructing the model"),
    "predict": ("predict_error", "in predict"),
    "output": ("bad_output", "reading what predict returned"),
    "done": ("predict_error", "after predict"),
}
_OUT_OF_MEMORY = ("MemoryError", "_ArrayMemoryError", "ResourceExhaustedError", "OutOfMemoryError")


@dataclass(frozen=True)
class Outcome:
    """What the ingestion program noted; phase "done" when the labels were written.

    load_s, predict_s, peak_mb: None where it did not come so far.
    """

    phase: str = "import"
    error: str | None = None
    error_type: str = ""
    load_s: float | None = None
    predict_s: float | None = None
    peak_mb: float | None = None


def read_outcome(path: Path, token: str) -> Outcome | None:
    """Read outcome.json; None when it is missing, damaged, or without the `token` we gave."""
    try:
        noted: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(noted, dict) or noted.get("token") != token:
        return None
    phase, error = noted.get("phase"), noted.get("error")
    if phase not in _PHASES:
        return None
    return Outcome(
        phase=phase,
        error=None if error is None else str(error),
        error_type=str(noted.get("error_type", "")),
        load_s=_number(noted.get("load_s")),
        predict_s=_number(noted.get("predict_s")),
        peak_mb=_number(noted.get("peak_mb")),
    )


def _number(value: Any) -> float | None:
    # A submission can reach the file: what is not a plain number is not passed on.
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def judge(
    outcome: Outcome | None, usage: Usage, limit_s: float | None, last_line: str
) -> tuple[str, str]:
    """The verdict on a run, before its labels are looked at, and one line that says why.

    last_line: the log's last line, for a process that died without a word of its own.
    """
    verdict, doing = _PHASES[outcome.phase if outcome else "import"]
    if usage.timed_out:
        # The first sentence is the platform's own.
        return "timeout", (
            f"Execution Time Limit exceeded. Limit was {limit_s:g} seconds, reached {doing}."
        )
    if usage.oom_killed:
        return "memory", (
            f"the system ended the process {doing} for want of memory, at {usage.peak_mb:.0f} MB. "
            "Predict in smaller batches."
        )
    if outcome and outcome.error:
        if outcome.error_type in _OUT_OF_MEMORY:
            return "memory", f"out of memory {doing}: {outcome.error}"
        return verdict, f"{doing}: {outcome.error}"
    if outcome is None or outcome.phase != "done":
        said = f"; the last line it wrote: {last_line}" if last_line else ""
        return verdict, f"the process ended ({_exit(usage.exit_code)}) {doing}{said}"
    return "ok", ""


def _exit(code: int) -> str:
    if code <= 128:
        return f"exit code {code}"
    try:
        return signal.Signals(code - 128).name
    except ValueError:
        return f"exit code {code}"


def read_labels(path: Path, images: int, classes: int, one_hot: bool = False) -> np.ndarray:
    """Read predictions.npy as class indices, (images,) int64.

    one_hot: the platform wants rows (images, classes) with a 1 at the class and 0 elsewhere.
    Raises ValueError, one line, when it holds anything else: another shape, strings, NaN, numbers
    that are not whole, or indices outside 0..classes-1.
    """
    try:
        # Mapped, so that the shape is known before anything large is read.
        mapped = np.lib.format.open_memmap(path, mode="r")
        shape, dtype = mapped.shape, mapped.dtype
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"the labels cannot be read ({error})") from None
    wanted = (images, classes) if one_hot else (images,)
    expected = f"predict: expected {wanted} {'one-hot rows' if one_hot else 'class indices'}"
    if shape != wanted:
        advice = ". Return one row an image." if one_hot else _advice(shape, images, classes)
        raise ValueError(f"{expected}, got shape {shape}{advice}")
    if dtype.kind not in ("iufb" if one_hot else "iuf"):
        raise ValueError(f"{expected}, got dtype {dtype}. Return integers.")
    values = np.array(mapped)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{expected}, got NaN or infinity at index {_first(~np.isfinite(values))}."
        )
    if one_hot:
        faulty = ((values != 0) & (values != 1)).any(axis=1) | (values.sum(axis=1) != 1)
        if faulty.any():
            raise ValueError(
                f"{expected}, got another row at index {_first(faulty)}. Return one 1, else zeros."
            )
        return values.argmax(axis=1).astype(np.int64)
    if (values != np.floor(values)).any():
        where = _first(values != np.floor(values))
        raise ValueError(f"{expected}, got {values[where]:g} at index {where}. Return integers.")
    if (values < 0).any() or (values >= classes).any():
        where = _first((values < 0) | (values >= classes))
        raise ValueError(
            f"{expected} of 0 to {classes - 1}, got {values[where]:g} at index {where}."
        )
    return values.astype(np.int64)


def _first(wrong: np.ndarray) -> int:
    """The first row of `wrong` (rows,) or (rows, columns) bool that has one."""
    return int(np.argwhere(wrong)[0, 0])


def _advice(shape: tuple[int, ...], images: int, classes: int) -> str:
    if shape == (images, classes):
        return " (one-hot or probabilities?). Return the argmax over the last axis."
    if shape == (images, 1):
        return ". Return a flat array."
    return ". Return one label an image."
