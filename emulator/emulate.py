"""Run a zip as the platform would and score it: unpack, import, construct, predict, compare.

The submission gets the images only; its labels come back as a file and are scored here, after its
process has ended. Everything that a run leaves is in one folder: scores.json, log.txt, and when it
came through confusion.png, classes.csv and predictions.csv.
"""

import itertools
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import h5py
import numpy as np

from cells.competition import Competition, Platform
from cells.errors import SubmissionError
from cells.files import make_folder, sha256, write_json
from emulator.isolation import Isolation, clean_environment, strongest_isolation
from emulator.labelled import Labelled
from emulator.scores import write_scores
from emulator.stage import lay_out, place_programs
from emulator.supervise import ending_on_terminate, supervise
from emulator.unpack import unpack
from emulator.verdict import judge, read_labels, read_outcome

_DOING = {
    "import": "importing model.py",
    "init": "loading the model",
    "predict": "predicting",
    "output": "reading the labels",
    "done": "ending",
}


@dataclass(frozen=True)
class _Run:
    """What came of one run; the fields of Outcome and Usage that people read."""

    verdict: str
    message: str
    predicted: np.ndarray | None = None
    load_s: float | None = None
    predict_s: float | None = None
    peak_mb: float | None = None
    seconds: float | None = None


def _quiet(_line: str) -> None:
    pass


def emulate(
    zip_path: Path,
    labelled: Labelled,
    competition: Competition,
    out: Path,
    limit_s: float | None = None,
    isolation: Isolation | None = None,
    report: Callable[[str], None] = _quiet,
) -> dict[str, Any]:
    """Run `zip_path` on the images of `labelled` as `competition.platform` says, and score it.

    out: a folder of its own for what the run leaves. limit_s: wall-clock seconds for the whole
    process; by default the platform's, which may be none. isolation: by default the strongest that
    works. report: called with one line whenever there is something new to say.
    Returns what scores.json holds: verdict (one of VERDICTS), message, error (unless ok), accuracy
    and interval (None unless ok), images, load_s, predict_s, peak_mb, seconds, isolation, folder.
    Raises SubmissionError when `zip_path` is no file. Whatever the zip does becomes a verdict.
    """
    if not zip_path.is_file():
        raise SubmissionError(f"{zip_path}: expected a zip file, got none. Run `bcsub pack` first.")
    isolation = isolation or strongest_isolation()
    limit_s = competition.platform.time_limit_s if limit_s is None else limit_s
    make_folder(out)
    (out / "log.txt").touch()
    with (
        ending_on_terminate(),
        tempfile.TemporaryDirectory(prefix="emulated-", ignore_cleanup_errors=True) as area,
    ):
        # Resolved: temporary folders may lie behind a link, and the submission compares paths.
        run = _run(
            zip_path, labelled, competition, Path(area).resolve(), out, limit_s, isolation, report
        )
    result = {
        "verdict": run.verdict,
        "message": run.message,
        "accuracy": None,
        "interval": None,
        "images": len(labelled.images),
        "load_s": _rounded(run.load_s),
        "predict_s": _rounded(run.predict_s),
        "peak_mb": _rounded(run.peak_mb, 1),
        "seconds": _rounded(run.seconds),
        "set": labelled.name,
        "isolation": isolation.name,
        "competition": competition.name,
        "versions": _versions(competition.platform),
        "zip": str(zip_path),
        "sha256": sha256(zip_path),
        "folder": str(out),
    }
    warning = labelled.warning or (not_honest(zip_path) if labelled.own else None)
    if warning:
        result["warning"] = warning
    if run.predicted is not None:
        report("scoring")
        result |= write_scores(
            out, run.predicted, labelled.labels, labelled.rows, competition.classes, labelled.name
        )
    else:
        result["error"] = run.message
    write_json(out / "scores.json", result)
    return result


def _versions(platform: Platform) -> dict[str, dict[str, str | None]]:
    """What the platform is known to run and what ran the zip here; None: not installed."""
    found: dict[str, dict[str, str | None]] = {}
    for package, there in (("tensorflow", platform.tensorflow), ("keras", platform.keras)):
        if there is not None:
            try:
                here = version(package)
            except PackageNotFoundError:
                here = None
            found[package] = {"here": here, "platform": there}
    return found


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _run(
    zip_path: Path,
    labelled: Labelled,
    competition: Competition,
    area: Path,
    out: Path,
    limit_s: float | None,
    isolation: Isolation,
    report: Callable[[str], None],
) -> _Run:
    """Everything that happens between the zip and the labels; `area` is empty and ours."""
    stage = lay_out(area)
    report(f"unpacking {zip_path.name}")
    try:
        unpack(zip_path, stage.submission, competition.platform)
    except SubmissionError as error:
        return _Run("bad_zip", str(error))
    np.save(stage.input / "images.npy", labelled.images)
    command = place_programs(stage, competition.platform, isolation)
    outcome_path, token = stage.output / "outcome.json", secrets.token_hex(16)

    def watch(seconds: float, mb: float) -> None:
        outcome = read_outcome(outcome_path, token)
        doing = _DOING[outcome.phase] if outcome else "starting"
        report(f"{doing}, {seconds:.0f} s, {mb:.0f} MB")

    usage = supervise(
        command,
        stage.program,
        clean_environment(stage.home, secrets.token_hex(16)),
        out / "log.txt",
        f"{token}\n",
        limit_s,
        watch,
    )
    outcome = read_outcome(outcome_path, token)
    verdict, message = judge(outcome, usage, limit_s, _last_line(out / "log.txt"))
    run = _Run(verdict, message, peak_mb=usage.peak_mb, seconds=usage.seconds)
    if outcome:
        # The poll misses what lasts less than 100 ms; the process's own mark misses its children.
        peak_mb = max(usage.peak_mb, outcome.peak_mb or 0)
        run = replace(run, load_s=outcome.load_s, predict_s=outcome.predict_s, peak_mb=peak_mb)
    if verdict != "ok":
        return run
    try:
        predicted = read_labels(
            stage.output / "predictions.npy",
            len(labelled.images),
            len(competition.classes),
            one_hot=competition.platform.answer == "one-hot",
        )
    except ValueError as error:
        return replace(run, verdict="bad_output", message=str(error))
    return replace(run, predicted=predicted)


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-4096:].decode(errors="replace").split("\n")
    said = [" ".join(line.split()) for line in lines if line.strip()]
    return said[-1][:300] if said else ""


def new_folder(parent: Path, zip_path: Path) -> Path:
    """Make an empty folder for a run: <date>-<time>-<zip's name>, numbered when that is taken."""
    make_folder(parent)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{zip_path.stem}"
    for number in itertools.count(1):
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        # Made here, not looked up: two emulations may start in the same second.
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


def not_honest(zip_path: Path) -> str | None:
    """What a bundle of ours says of adopted members that may have learnt from the dataset's rows.

    None for any other zip, whatever is in it.
    """
    try:
        with (
            ZipFile(zip_path) as archive,
            archive.open("weights.h5") as raw,
            h5py.File(raw) as file,
        ):
            said = json.loads(file.attrs.get("not_honest", "[]"))
    except (OSError, KeyError, ValueError, NotImplementedError, RuntimeError, BadZipFile):
        return None
    return f"this score is not honest, it may be too high: {'; '.join(said)}" if said else None
