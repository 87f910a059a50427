"""Runs first in the emulated interpreter: takes away what the platform lacks, then runs a program.

Run:    python -I guard.py SETTINGS.json PROGRAM [ARGUMENT ...]
        SETTINGS: {"libraries": [folder], "submission": folder, "ours": [package], "sockets": bool}

A copy of this file runs far from our packages, so it imports the standard library only.
"""

import errno
import importlib.machinery
import json
import os
import runpy
import sys
import sysconfig
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class _NotOnThePlatform:
    """Finds our packages' names in the submission's folder, and nowhere else."""

    def __init__(self, names: list[str], submission: str) -> None:
        self._names = frozenset(names)
        self._submission = submission

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> Any:
        if name not in self._names:
            return None
        # A team may call a file of its own ensemble.py: that one is theirs to import.
        spec = importlib.machinery.PathFinder.find_spec(name, [self._submission])
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r} on the platform", name=name)
        return spec


def _inside(path: str, folders: list[str]) -> bool:
    real = os.path.realpath(path)
    return any(real == folder or real.startswith(folder + os.sep) for folder in folders)


def _keep_only(libraries: list[str]) -> None:
    """Leave the standard library and the installed packages on the path; drop editable installs."""
    standard = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    folders = [os.path.realpath(folder) for folder in (*standard, *libraries)]
    # With -I a user's site folder is not on the path even where the parent uses it.
    wanted = list(dict.fromkeys([*sys.path, *libraries]))
    sys.path[:] = [path for path in wanted if path and _inside(path, folders)]
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if not getattr(finder, "__module__", "").startswith("__editable__")
    ]


_CONNECTING = (
    "socket.connect",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
)


def _refuse_connections(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no Python socket reaches beyond this machine's own files."""
    if event in _CONNECTING:
        import socket

        # A Unix socket is a file, which a network namespace leaves alone too.
        if getattr(arguments[0], "family", None) == socket.AF_UNIX:
            return
        raise OSError(errno.ENETUNREACH, "Network is unreachable: the submission runs without one")


def main() -> None:
    """Guard, then run the program as if it had been started by itself."""
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    _keep_only(settings["libraries"])
    sys.meta_path.insert(0, _NotOnThePlatform(settings["ours"], settings["submission"]))
    if settings["sockets"]:
        sys.addaudithook(_refuse_connections)
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
