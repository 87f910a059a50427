"""What the platform's ingestion program does: import model.py, make a Model, predict once.

Run:    ingestion.py INPUT OUTPUT PROGRAM SUBMISSION   (a token on standard input)
Reads:  INPUT/images.npy, PROGRAM/platform.json
Writes: OUTPUT/predictions.npy, OUTPUT/outcome.json: how far it came, rewritten at every phase

A copy of this file runs far from our packages: the standard library and NumPy only.
"""

import json
import os
import sys
import time
import traceback
from typing import Any

import numpy as np

_ERROR_CHARACTERS = 300
_COUNTED_AS = {
    "import": "load_s",
    "init": "load_s",
    "predict": "predict_s",
    "output": "predict_s",  # a GPU's tensor is computed when it is read
}


class Ingestion:
    """One run; its outcome on disk always tells the phase it is in and what those before took.

    The token shows that this program wrote the outcome, and that a submission which ends the
    process in `predict` did not come through.
    """

    def __init__(self, output: str, submission: str, token: str) -> None:
        self._path = os.path.join(output, "outcome.json")
        self._submission = submission
        self._outcome: dict[str, Any] = {"token": token, "phase": "import", "error": None}
        self._phase_start_s = time.perf_counter()
        self._write()

    def enter(self, phase: str) -> None:
        """Note that a phase has ended and `phase` begins."""
        counted = _COUNTED_AS[self._outcome["phase"]]
        now_s = time.perf_counter()
        self._outcome[counted] = self._outcome.get(counted, 0.0) + now_s - self._phase_start_s
        self._phase_start_s = now_s
        self._write(phase=phase, peak_mb=_peak_mb())

    def fail(self, error: BaseException) -> None:
        """Note what was raised, and where in the submission; the traceback goes to the log."""
        traceback.print_exception(error)
        # TensorFlow's texts run over many lines, and the first alone often says nothing.
        line = " ".join(traceback.format_exception_only(error)[-1].split())[:_ERROR_CHARACTERS]
        where = _where(error, self._submission)
        self._write(error=f"{line}{where}", error_type=type(error).__name__)

    def _write(self, **changes: Any) -> None:
        self._outcome.update(changes)
        temporary = f"{self._path}.part"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(self._outcome, file)
        os.replace(temporary, self._path)


def _where(error: BaseException, submission: str) -> str:
    """The innermost line of the submission's own files that an error came through."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):  # its line never ran, so it is in no frame
        places.append((error.filename or "", error.lineno))
    own = [place for place in places if os.path.abspath(place[0]).startswith(submission + os.sep)]
    if not own:
        return ""
    return f" ({os.path.relpath(own[-1][0], submission)}, line {own[-1][1]})"


def _peak_mb() -> float | None:
    """The most memory that this process ever held, as Linux counts it; None elsewhere."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return None


def _model_class(module: Any, name: str) -> Any:
    if name not in vars(module):
        others = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise AttributeError(
            f"model.py has no class {name} (its classes: {', '.join(others) or 'none'})"
        )
    return vars(module)[name]


def _array(labels: Any, answer: str) -> np.ndarray:
    """What predict returned as an array: tensors and lists too, as earlier editions took them.

    A platform that asks for a tensor calls its `numpy`, which nothing else has.
    """
    if answer == "tensor" and not hasattr(labels, "numpy"):
        raise TypeError(f"predict returned {type(labels).__name__}, not a tensor")
    array = np.asarray(labels)
    if array.dtype.hasobject:
        raise TypeError(f"predict returned {type(labels).__name__}, not an array of numbers")
    return array


def main() -> None:
    """Import, construct, predict; whatever the submission raises is noted, not raised."""
    input_folder, output, program, submission = sys.argv[1:5]
    token = sys.stdin.readline().strip()
    with open(os.path.join(program, "platform.json"), encoding="utf-8") as file:
        platform = json.load(file)
    images = np.load(os.path.join(input_folder, "images.npy"), allow_pickle=False)
    if platform["working_directory"] == "submission":
        os.chdir(submission)
    sys.path.insert(0, submission)
    run = Ingestion(output, submission, token)
    try:
        import model

        make = _model_class(model, platform["class_name"])
        run.enter("init")
        instance = make(submission) if platform["init"] == "path" else make()
        run.enter("predict")
        labels = instance.predict(images)
        run.enter("output")
        array = _array(labels, platform["answer"])
        np.save(os.path.join(output, "predictions.npy"), array, allow_pickle=False)
        run.enter("done")
    except BaseException as error:  # sys.exit() in a submission is a fault like any other
        run.fail(error)


if __name__ == "__main__":
    main()
