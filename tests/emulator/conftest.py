"""A three-class competition whose submissions are a few lines of NumPy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from cells.competition import Competition, Platform
from emulator.emulate import emulate
from emulator.labelled import Labelled

# Says which of red, green and blue an image has most of: right on every image below but the last.
BY_COLOUR = """
import numpy as np

class Model:
    def predict(self, X):
        return X.mean(axis=(1, 2)).argmax(axis=1)
"""


@pytest.fixture
def competition() -> Competition:
    return Competition(name="colours", title="", classes=("red", "green", "blue"), image_px=16)


@pytest.fixture
def labelled() -> Labelled:
    """Ten images of one colour each; the last, a blue one, is labelled red."""
    colours = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 2])
    images = np.zeros((10, 16, 16, 3), np.uint8)
    images[np.arange(10), :, :, colours] = 200
    labels = colours.copy()
    labels[9] = 0
    return Labelled("ten colours", images, labels, np.arange(100, 110))


@pytest.fixture
def by_colour() -> str:
    return BY_COLOUR


@pytest.fixture
def zip_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a zip of {name: text} and return its path."""

    def make(files: dict[str, str], name: str = "team.zip") -> Path:
        path = tmp_path / name
        with ZipFile(path, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
        return path

    return make


@pytest.fixture
def run(
    tmp_path: Path,
    zip_of: Callable[..., Path],
    competition: Competition,
    labelled: Labelled,
) -> Callable[..., dict[str, Any]]:
    """Emulate a model.py; keyword arguments go to the platform (class_name ...) or to emulate."""

    def emulated(model: str, files: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
        platform = {key: options.pop(key) for key in list(options) if key in Platform.model_fields}
        asked = competition.model_copy(update={"platform": Platform(**platform)})
        packed = zip_of({"model.py": model, **(files or {})})
        return emulate(packed, labelled, asked, tmp_path / "out", **options)

    return emulated
