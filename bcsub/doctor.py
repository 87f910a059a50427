"""`bcsub doctor`: what this machine has, and what it would be used for."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bcsub.console import Json, Root, answer, progress
from bcsub.quiet import import_tensorflow
from cells.errors import DatasetError

_PACKAGES = (
    "bcsub",
    "tensorflow",
    "keras",
    "jax",
    "keras-cv",
    "numpy",
    "h5py",
    "scikit-learn",
)
# What TensorFlow's matrix kernels on a CPU choose between; without the first it does not start.
_FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")


def doctor(root: Root = Path("."), json: Json = False) -> None:
    """Print devices, precision, free disk and memory, versions, isolation, pretrained weights."""

    def work() -> dict[str, Any]:
        with progress.status("starting TensorFlow"):
            return examine(root)

    answer(json, work, _show)


def examine(root: Path) -> dict[str, Any]:
    """Everything that `bcsub doctor` prints; sizes in GB of 1e9 bytes, absent things None."""
    import psutil

    from emulator.isolation import TEXTS, strongest_isolation

    if not root.is_dir():
        raise DatasetError(f"--root: no such folder {root}.")
    isolation = strongest_isolation().name
    memory = psutil.virtual_memory()
    return {
        **_devices(),
        "cpus": os.cpu_count(),
        "cpu_flags": _cpu_flags(Path("/proc/cpuinfo")),
        "memory_gb": round(memory.total / 1e9, 1),
        "free_memory_gb": round(memory.available / 1e9, 1),
        "free_disk_gb": round(shutil.disk_usage(root).free / 1e9, 1),
        "versions": {"python": platform.python_version(), **_versions()},
        "isolation": isolation,
        "isolation_text": TEXTS[isolation],
    }


def _devices() -> dict[str, Any]:
    """What only Keras's backend can tell; one that does not import is itself the finding."""
    try:
        import_tensorflow()
        import keras
        import tensorflow  # noqa: F401  # as in every training; Keras may compute with another

        from trainers import backend, custom_cnn
        from trainers.devices import precision
        from trainers.pretrained import cached_file, published
    except ImportError as error:
        return {"error": f"TensorFlow cannot be imported: {error}", "exit": 1}
    gpus = [
        {
            "name": gpu.kind,
            "compute_capability": ".".join(map(str, gpu.capability)) if gpu.capability else None,
        }
        for gpu in backend.gpus()
    ]
    cached = {name: cached_file(stock) for name, stock in published().items()}
    return {
        "backend": keras.backend.backend(),
        "gpus": gpus,
        "precision": precision(custom_cnn.RECIPE),
        "pretrained": {
            name: str(path) if path.is_file() else None for name, path in cached.items()
        },
    }


def _cpu_flags(cpuinfo: Path) -> list[str] | None:
    """Those of _FLAGS that the first processor has; None where the system does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            has = set(value.split())
            return [flag for flag in _FLAGS if flag in has]
    return None


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _show(console: Console, result: dict[str, Any]) -> None:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim")
    grid.add_column()
    for name, text in _lines(result):
        grid.add_row(name, escape(text))
    console.print(grid)


def _lines(result: dict[str, Any]) -> list[tuple[str, str]]:
    if "error" in result:
        seen = [("error", result["error"])]
    else:
        gpus = [f"{gpu['name']} ({gpu['compute_capability'] or '?'})" for gpu in result["gpus"]]
        seen = [("backend", f"Keras computes with {result['backend']}")]
        seen += [("GPU", ", ".join(gpus) or "none: train with --preset cpu")]
        seen += [("precision", result["precision"])]
    flags = result["cpu_flags"]
    has = "flags unknown" if flags is None else " ".join(flags) or "no AVX: TensorFlow won't start"
    lines = [
        *seen,
        ("CPU", f"{result['cpus']} cores, {has}"),
        ("memory", f"{result['free_memory_gb']} GB free of {result['memory_gb']} GB"),
        ("disk", f"{result['free_disk_gb']} GB free"),
    ]
    lines += [(name, found or "not installed") for name, found in result["versions"].items()]
    lines += [("isolation", f"{result['isolation']}: {result['isolation_text']}")]
    for name, path in result.get("pretrained", {}).items():
        lines.append((f"ImageNet {name}", path or "not in Keras's cache"))
    return lines
