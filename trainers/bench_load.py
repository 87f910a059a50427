"""Table of `trainers.bench` on loading: seconds and memory of a bundle as large as the real one."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import keras
from rich.table import Table

import submission.model
from cells.files import new_h5
from trainers.bench_runtime import ABOUT, IMAGES
from trainers.bench_steps import alone
from trainers.catalog import member
from trainers.export import write_member

REAL = ("custom-cnn", "convnext-small", "convnext-base", "convnext-large")

# Run by itself, so that nothing but the runtime counts; from the page cache: it is read beforehand.
SCRIPT = f"""
import json, resource, sys, time
import numpy as np
with open("weights.h5", "rb") as file:
    while file.read(1 << 24): pass
sys.path.insert(0, "."); sys.argv = ["model.py"]
import model
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
images = np.random.default_rng(0).integers(0, 256, ({IMAGES}, 96, 96, 3)).astype(np.uint8)
model.tf.matmul(np.eye(2), np.eye(2)).numpy()
before, took = peak(), []
def lap(work):
    start = time.perf_counter(); made = work(); took.append(time.perf_counter() - start)
    return made
loaded = lap(lambda: model.Model("."))
loading = peak()
lap(lambda: loaded.predict(images)); lap(lambda: loaded.predict(images))
print(json.dumps(dict(took=took, before=before, loading=loading, peak=peak())))
"""


def write_bundle(folder: Path, networks: dict[str, keras.Model]) -> None:
    """weights.h5 of these networks at equal weights, as they are seen, in float16."""
    for number, (name, network) in enumerate(networks.items()):
        write_member(folder / f"{number}.h5", network, {"name": name, **ABOUT})
    _bundle(folder, [folder / f"{number}.h5" for number in range(len(networks))])


def _bundle(folder: Path, members: list[Path]) -> None:
    """weights.h5 in `folder`, of member.h5 files."""
    (folder / "weights.h5").unlink(missing_ok=True)
    with new_h5(folder / "weights.h5", seal=submission.model.SEAL) as bundle:
        bundle.attrs.update(kind="bundle", format=submission.model.FORMAT, views='["identity"]')
        bundle.attrs.update(classes=json.dumps(ABOUT["classes"]), image_px=ABOUT["image_px"])
        for number, path in enumerate(members):
            with h5py.File(path) as source:
                source.copy(source, bundle, f"members/{number:02}")
            bundle[f"members/{number:02}"].attrs["weight"] = 1.0


def _write(name: str, path: Path) -> int:
    """A fresh member's file; returns how many numbers it holds."""
    module = member(name)
    network = module.build(module.RECIPE, 96, 8)
    write_member(path, network, {"name": name, **ABOUT})
    return int(network.count_params())


def loading(names: tuple[str, ...] = REAL) -> Table:
    """Seconds to load, to trace and to predict, and memory: of each member alone, then of all."""
    table = Table(
        title=f"Loading a bundle, {IMAGES} images in one view; memory beyond TensorFlow's own"
    )
    table.add_column("bundle", no_wrap=True)
    for column in (
        "file, MB",
        "load, s",
        "first predict, s",
        "next, s",
        "float32 weights, MB",
        "peak loading, MB",
        "peak, MB",
        "allowed, MB",
    ):
        table.add_column(column, justify="right")
    weights_mb: dict[str, float] = {}
    beyond_mb: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = {name: folder / f"{name}.h5" for name in names}
        for name, path in paths.items():
            weights_mb[name] = alone(False, _write, name, path) * 4 / 2**20
        (folder / "model.py").write_bytes(Path(submission.model.__file__).read_bytes())
        for title, chosen in [*((name, [name]) for name in names), ("all", list(names))]:
            _bundle(folder, [paths[name] for name in chosen])
            command = [sys.executable, "-c", SCRIPT]
            quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            run = subprocess.run(command, cwd=folder, env=quiet, capture_output=True, check=True)
            found = json.loads(run.stdout.splitlines()[-1])
            load_s, first_s, next_s = found["took"]
            held = sum(weights_mb[name] for name in chosen)
            peak = found["peak"] - found["before"]
            allowed = held + 1.5 * max(beyond_mb, default=0)
            if title != "all":
                beyond_mb.append(peak - held)
            table.add_row(
                title,
                f"{(folder / 'weights.h5').stat().st_size / 1e6:.0f}",
                *(f"{seconds:.1f}" for seconds in (load_s, first_s, next_s)),
                *(f"{mb:.0f}" for mb in (held, found["loading"] - found["before"], peak)),
                f"{allowed:.0f}" if title == "all" else "",
            )
    return table
