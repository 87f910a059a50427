"""The state of a training after an epoch, in one file that is always whole."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from cells.errors import RunError
from cells.files import replacing


@dataclass
class State:
    """What a training needs to go on besides its recipe and data.

    phase: index of the running phase. epoch: the next one, counted within the phase.
    watch: the fields of `schedule.Watch`. history: one row an epoch. best: the network's weights
    (moving average) at the best inner score of the phase so far.
    """

    phase: int = 0
    epoch: int = 0
    watch: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)


def save(path: Path, state: State, network: keras.Model) -> None:
    """Write state, network and optimizer in one step."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        fields = {name: getattr(state, name) for name in ("phase", "epoch", "watch", "history")}
        file["state"] = json.dumps(fields)
        _write(file.create_group("network"), [np.asarray(v) for v in network.variables])
        _write(file.create_group("optimizer"), [np.asarray(v) for v in network.optimizer.variables])
        _write(file.create_group("best"), state.best)


def load_state(path: Path) -> State:
    """The state alone. Raises RunError when the file is damaged."""
    try:
        with h5py.File(path) as file:
            return State(**json.loads(file["state"][()]), best=_read(file["best"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}). Delete it to train from the start.") from None


def load_variables(path: Path, network: keras.Model) -> None:
    """Put network and optimizer back; the optimizer must be compiled and built.

    Raises RunError when the file belongs to another network.
    """
    with h5py.File(path) as file:
        for name, variables in (
            ("network", network.variables),
            ("optimizer", network.optimizer.variables),
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


def _write(group: h5py.Group, arrays: list[np.ndarray]) -> None:
    for index, array in enumerate(arrays):
        group[f"{index:05d}"] = array


def _read(group: h5py.Group) -> list[np.ndarray]:
    return [group[key][()] for key in sorted(group)]
