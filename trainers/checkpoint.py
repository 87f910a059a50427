"""The state of a training after an epoch, in one file that is always whole."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from cells.errors import RunError
from cells.files import replacing_h5

FIELDS = ("phase", "stage", "epoch", "parts", "watch", "history")


@dataclass
class State:
    """What a training needs to go on besides its recipe and data.

    phase: index of the running phase. stage: of the running part of it. epoch: the next one,
    counted within the phase. parts: how many a batch is cut into, for want of memory.
    watch: the fields of `schedule.Watch`. history: one row an epoch. best: the network's weights
    (moving average) at the best inner score of the phase so far.
    """

    phase: int = 0
    stage: int = 0
    epoch: int = 0
    parts: int = 1
    watch: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)


def save(path: Path, state: State, network: keras.Model) -> None:
    """Write state, network and optimizer in one step; the optimizer must be built.

    Gradients that are still being gathered are left out: between epochs there are none.
    """
    optimizer = [np.asarray(variable) for variable in _lasting(network.optimizer)]
    with replacing_h5(path) as file:
        file["state"] = json.dumps({name: getattr(state, name) for name in FIELDS})
        _write(file.create_group("network"), [np.asarray(v) for v in network.variables])
        _write(file.create_group("optimizer"), optimizer)
        _write(file.create_group("best"), state.best)


def load_state(path: Path) -> State:
    """The state alone. Raises RunError when the file is damaged."""
    try:
        with h5py.File(path) as file:
            return State(**json.loads(file["state"][()]), best=_read(file["best"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def load_history(path: Path) -> list[dict[str, Any]]:
    """The rows of the epochs that are trained. Raises RunError when the file is damaged."""
    try:
        with h5py.File(path) as file:
            return json.loads(file["state"][()])["history"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def load_variables(path: Path, network: keras.Model, parts: int = 1) -> None:
    """Put network and optimizer back; the optimizer must be compiled and built.

    parts: how many a batch is cut into now; it may have been another number then.
    Raises RunError when the file belongs to another network.
    """
    with h5py.File(path) as file:
        parts_then = json.loads(file["state"][()])["parts"]
        for name, variables in (
            ("network", network.variables),
            ("optimizer", _lasting(network.optimizer)),
        ):
            stored = _read(file[name])
            shapes = [tuple(v.shape) for v in variables]
            if [array.shape for array in stored] != shapes:
                raise RunError(
                    f"{path}: belongs to another {name} (written by another version?). "
                    "Delete it to train from the start."
                )
            for variable, array in zip(variables, stored, strict=True):
                variable.assign(array)
    for variable in network.optimizer.variables:
        if variable.name == "iteration":  # Keras counts the parts, not the batches
            variable.assign(np.asarray(variable) // parts_then * parts)


def _lasting(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The optimizer's variables without the gradients that it gathers over a batch's parts."""
    return [v for v in optimizer.variables if "gradient_accumulator" not in v.path]


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path}: damaged ({error}). Delete it to train from the start.")


def _write(group: h5py.Group, arrays: list[np.ndarray]) -> None:
    for index, array in enumerate(arrays):
        group[f"{index:05d}"] = array


def _read(group: h5py.Group) -> list[np.ndarray]:
    return [group[key][()] for key in sorted(group)]
