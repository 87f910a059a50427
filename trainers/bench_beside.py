"""Tables of `trainers.bench` on the runtime beside other ways: PyTorch, and Keras's SavedModel.

Each is run in an environment of its own (`make bench` sets them up); one that is not there is left
out, and named.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.table import Table

import submission.model
from trainers.bench_load import write_bundle
from trainers.bench_runtime import IMAGES, exported, network_of, side_by_side, some_images
from trainers.convnext import IMAGENET_MEAN, IMAGENET_VARIANCE

HERE = Path(__file__).parent
SHAPES = {  # widths and depths of the stages
    "ConvNeXtTiny": ((96, 192, 384, 768), (3, 3, 9, 3)),
    "ConvNeXtSmall": ((96, 192, 384, 768), (3, 3, 27, 3)),
    "ConvNeXtBase": ((128, 256, 512, 1024), (3, 3, 27, 3)),
}


def python_of(environment: str) -> Path | None:
    """The interpreter of .venv-ENVIRONMENT in the working directory; None where it is not."""
    path = Path(f".venv-{environment}") / "bin" / "python"
    return path.absolute() if path.exists() else None


def said(python: Path | str, script: Path, *arguments: object, cwd: Path | None = None) -> Any:
    """What a script prints as JSON on its last line, run by itself."""
    command = [str(python), str(script), *map(str, arguments)]
    run = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{script.name} failed under {python}:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def torch(names: list[str], repeats: int) -> Table:
    """Images a second of the runtime and of PyTorch, same weights, in float32 and bfloat16.

    PyTorch is timed between two timings of the runtime, of which the mean counts.
    """
    python = python_of("torch")
    if python is None:
        return Table(title="PyTorch: no .venv-torch here; `make bench` makes it")
    table = Table()
    for column in ("network", "runtime", "PyTorch", "", "runtime bf16", "PyTorch bf16", ""):
        table.add_column(column, justify="left" if column == "network" else "right")
    table.add_column("apart, sd", justify="right")
    images = some_images()
    for name in names:
        network = network_of(name)
        ways = {"float32": exported(network), "bfloat16": exported(network, bfloat16=True)}
        works = {way: partial(member.probs, images) for way, member in ways.items()}
        logits = ways["float32"].logits(images)
        with tempfile.TemporaryDirectory() as folder:
            _hand_over(network, name, images, Path(folder))
            before = side_by_side(works, repeats)
            theirs = said(python, HERE / "bench_torch.py", folder, repeats)
            after = side_by_side(works, repeats)
            apart = np.abs(np.load(Path(folder) / "logits.npy") - logits).max()
        row = [name]
        for way in works:
            ours = 2 * IMAGES / (before[way] + after[way])
            row += [f"{ours:.1f}", f"{theirs[way]:.1f}", f"{ours / theirs[way]:.2f}x"]
        table.add_row(*row, f"{apart / logits.std(axis=0).mean():.0e}")
        table.title = f"Runtime and PyTorch {theirs['version']}, 96 px, {IMAGES} images: images/s"
        keras.backend.clear_session()
    return table


def _hand_over(network: keras.Model, name: str, images: np.ndarray, folder: Path) -> None:
    """ours.npz: widths, depths, normalised images, and the arrays in Keras's order."""
    widths, depths = SHAPES[name]
    normalised = (images - np.array(IMAGENET_MEAN)) / np.sqrt(IMAGENET_VARIANCE)
    arrays = {
        f"{number:04}": np.asarray(variable) for number, variable in enumerate(network.weights)
    }
    arrays |= {"widths": np.array(widths), "depths": np.array(depths)}
    arrays["images"] = normalised.astype(np.float32)
    np.savez(folder / "ours.npz", allow_pickle=False, **arrays)


def saved(name: str, repeats: int) -> Table:
    """Keras's own `Model.export()`, made here, beside our bundle, under each TensorFlow."""
    table = Table(title=f"{name} as Keras's SavedModel and as a bundle, {IMAGES} images")
    table.add_column("TensorFlow")
    for column in (
        "SavedModel",
        "MB",
        "load, s",
        "images/s",
        "bundle, MB",
        "load, s",
        "images/s",
    ):
        table.add_column(column, justify="right")
    network = network_of(name)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        network.export(place / "saved", verbose=False)
        write_bundle(place, {name: network})
        shutil.copy(submission.model.__file__, place / "model.py")
        np.save(place / "images.npy", some_images())
        size = sum(path.stat().st_size for path in (place / "saved").rglob("*")) / 1e6
        bundle = (place / "weights.h5").stat().st_size / 1e6
        for environment in ("", "tf217", "tf215"):
            python = python_of(environment) if environment else sys.executable
            if python is None:
                table.add_row(f"no .venv-{environment}: make test-matrix")
                continue
            usual = said(python, HERE / "bench_saved.py", "saved", repeats, cwd=place)
            ours = said(python, HERE / "bench_saved.py", "bundle", repeats, cwd=place)
            table.add_row(
                usual["version"],
                usual["outcome"],
                f"{size:.0f}",
                *(_number(usual.get(key)) for key in ("load_s", "rate")),
                f"{bundle:.0f}",
                *(_number(ours.get(key)) for key in ("load_s", "rate")),
            )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
