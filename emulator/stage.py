"""The folders of one run, named as the platform names them, and the command that runs in them."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cells.competition import Platform
from emulator.isolation import OURS, Isolation, library_folders

_PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Stage:
    """Folders that exist for one run only.

    program: ours, where the process starts. submission: the unpacked zip. input: images.npy.
    output: what the program writes. home: HOME and TMPDIR of the process, empty.
    """

    program: Path
    submission: Path
    input: Path
    output: Path
    home: Path


def lay_out(area: Path) -> Stage:
    """Make the folders in the empty folder `area`."""
    names = ("program", "ingested_program", "input_data", "output", "home")
    stage = Stage(*(area / name for name in names))
    for name in names:
        (area / name).mkdir()
    return stage


def place_programs(stage: Stage, platform: Platform, isolation: Isolation) -> list[str]:
    """Copy the guard and the ingestion program beside their settings. Returns the command line."""
    for name in ("guard.py", "ingestion.py"):
        shutil.copyfile(_PROGRAMS / name, stage.program / name)
    (stage.program / "platform.json").write_text(platform.model_dump_json())
    guard = {
        "libraries": library_folders(),
        "submission": str(stage.submission),
        "ours": OURS,
        "sockets": isolation.guard_sockets,
    }
    (stage.program / "guard.json").write_text(json.dumps(guard))
    guarded = [stage.program / name for name in ("guard.py", "guard.json", "ingestion.py")]
    folders = [stage.input, stage.output, stage.program, stage.submission]
    # -I: nothing of PYTHONPATH, the working directory or a user's own folder; -u: a killed
    # process leaves what it printed; faulthandler: a crash in native code says where.
    python = [sys.executable, "-I", "-u", "-X", "faulthandler"]
    return [*isolation.prefix, *python, *map(str, guarded), *map(str, folders)]
