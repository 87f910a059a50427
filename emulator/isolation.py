"""What stands between the emulated submission and this machine.

Prevented: importing anything of ours, network, the parent's environment, a home folder with
caches, processes that outlive the run. Not prevented: reading other files of the disk by their
absolute path, and in a second interpreter that the submission starts, importing ours.
The labels are never handed over: scoring happens in the parent, after the run.
"""

import os
import shutil
import site
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Names of our own packages: none may be imported, installed in editable mode or not.
OURS = ("bcsub", "cells", "emulator", "ensemble", "submission", "trainers")

# Every process of a run carries it, so that one that slipped out of the tree is found again.
MARKER = "BCSUB_EMULATED_RUN"

_KEPT = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


# For people: what each kind takes away.
TEXTS = {
    "namespaces": "no network, no sight of other processes (unshare)",
    "network-namespace": "no network (unshare)",
    "socket-guard": "no network for Python's sockets; unshare does not work here",
}


@dataclass(frozen=True)
class Isolation:
    """A way to start the submission's interpreter.

    name: its word in the results, explained in TEXTS. prefix: put before the interpreter's command.
    guard_sockets: whether the interpreter has to refuse connections, because no namespace does.
    """

    name: str
    prefix: tuple[str, ...]
    guard_sockets: bool


GUARD = Isolation("socket-guard", (), True)


def _namespaces(user: tuple[str, ...]) -> tuple[Isolation, ...]:
    # The shell is the namespace's first process: it reaps, and the kernel would shield a submission
    # in that place from its own signals. When it ends, the kernel ends all that is left.
    first = ("sh", "-c", '"$@"; exit $?', "sh")
    alone = ("--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    return (
        Isolation("namespaces", ("unshare", *user, *alone, *first), False),
        Isolation("network-namespace", ("unshare", *user, "--net"), False),
    )


@cache
def strongest_isolation() -> Isolation:
    """The strongest isolation that works on this machine, found by trying."""
    if shutil.which("unshare") is None:
        return GUARD
    as_root = _namespaces(()) if os.geteuid() == 0 else ()
    # Without root, or as a root that a container has stripped: a user namespace.
    for isolation in (*as_root, *_namespaces(("--map-root-user",))):
        if _works(isolation):
            return isolation
    return GUARD


def _works(isolation: Isolation) -> bool:
    try:
        trial = subprocess.run(
            [*isolation.prefix, "true"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0


def library_folders() -> list[str]:
    """Where installed packages lie: all that stays on the path beside the standard library."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [*site.getsitepackages(), *user]


def clean_environment(home: Path, marker: str) -> dict[str, str]:
    """The submission's whole environment: of the parent's only where programs and the GPU are."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        "PATH": os.defpath,
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        MARKER: marker,
    }
