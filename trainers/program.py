"""A program under construction: the operations of a network in the order they run, their arrays.

The operations are those of `submission/model.py`. A value is the result of one, known by number;
value 0 is the batch of images, 0-255.
"""

import hashlib
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int | None, ...]  # None: the number of images


class Unsupported(Exception):  # noqa: N818 - says what the layer is; ExportError is the error
    """Why a layer cannot be expressed; whoever walks the graph adds where it stands."""


class Value(NamedTuple):
    """One tensor of the graph: its number in the program, and its shape."""

    number: int
    shape: Shape


def _content(array: np.ndarray) -> tuple[Any, ...]:
    return array.shape, hashlib.sha256(array.tobytes()).digest()


class Program:
    """The list that grows while the graph is walked.

    name: of the layer that is being expressed, at first of the network; steps carry it, for people
    who read the program.
    """

    def __init__(self, name: str) -> None:
        self.ops: list[dict[str, Any]] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.name = name
        self._stored: dict[tuple[Any, ...], str] = {}  # an array that occurs twice is stored once
        self._constants: dict[Any, int] = {}

    def add(self, op: str, *inputs: int, arrays: dict[str, Any] | None = None, **attrs: Any) -> int:
        """Append one operation; returns the number of its output value."""
        out = len(self.ops) + 1
        names = {}
        for key, given in (arrays or {}).items():
            array = np.asarray(given, np.float32)
            # kernels of different kinds are packed along different axes: never one array
            content = (op if key == "kernel" else "", *_content(array))
            names[key] = self._stored.setdefault(content, f"{out:04d}-{key}")
            self.arrays[names[key]] = array
        self.ops.append(
            {
                "op": op,
                "name": self.name,
                "in": list(inputs),
                "out": out,
                "arrays": names,
                "attrs": attrs,
            }
        )
        return out

    def constant(self, value: Any) -> int:
        """A number, or an array (array, variable or tensor), as a value; the same one once."""
        array = np.asarray(value, np.float32)
        key = _content(array)
        if key not in self._constants:
            self._constants[key] = (
                self.add("constant", arrays={"value": array})
                if array.ndim
                else self.add("constant", value=float(value))
            )
        return self._constants[key]

    def maker(self, number: int) -> dict[str, Any] | None:
        """The operation that makes a value; None for the images."""
        return self.ops[number - 1] if number else None
