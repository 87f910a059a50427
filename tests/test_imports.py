"""Who may import whom, read from the source; no room is imported here."""

import ast
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT: dict[str, set[str]] = {
    "submission": set(),
    "cells": {"submission"},
    "trainers": {"cells", "submission"},
    "ensemble": {"cells", "submission"},
    "emulator": {"cells"},
    "bcsub": {"cells", "emulator", "ensemble", "submission", "trainers"},
}
RUNTIME = {"numpy", "tensorflow", "h5py"}
PACKAGE_OF = {
    "cv2": "opencv-python-headless",
    "keras_cv": "keras-cv",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
}


def modules(root: Path, room: str) -> list[Path]:
    return sorted((root / room).rglob("*.py"))


def imported(root: Path, path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import in a file, whatever function it stands in.

    `from a import b` gives a.b, since b may be a module. Relative imports are resolved.
    """
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def by_string(path: Path) -> Iterator[int]:
    """Lines that import by string, which no reader and no test can follow."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in {"import_module", "__import__"}:
                yield node.lineno


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def members(root: Path) -> set[str]:
    """Modules named in the dict MEMBERS of trainers/catalog.py."""
    for node in ast.walk(ast.parse((root / "trainers" / "catalog.py").read_text())):
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
            assert ast.unparse(node.target) == "MEMBERS"
            return {f"trainers.{ast.unparse(value)}" for value in node.value.values}
    raise AssertionError("trainers/catalog.py: expected a dict MEMBERS, found none")


def wrong_rooms(root: Path) -> list[str]:
    """Imports from a room that the importing room may not know."""
    found = []
    for room, allowed in MAY_IMPORT.items():
        for path in modules(root, room):
            for line, name in imported(root, path):
                other = name.split(".")[0]
                if other in MAY_IMPORT and other not in allowed | {room}:
                    found.append(f"{path.relative_to(root)}:{line} {other}")
    return found


def members_that_meet(root: Path) -> list[str]:
    """Imports of one member's module by another's."""
    names = members(root)
    found = []
    for member in sorted(names):
        path = root / (member.replace(".", "/") + ".py")
        for line, name in imported(root, path):
            if any(within(name, other) for other in names - {member}):
                found.append(f"{path.relative_to(root)}:{line} {name}")
    return found


def importers(root: Path, *targets: str) -> set[str]:
    """Files of the rooms that import one of `targets` or something inside it."""
    return {
        str(path.relative_to(root))
        for room in MAY_IMPORT
        for path in modules(root, room)
        for _, name in imported(root, path)
        if any(within(name, target) for target in targets)
    }


def foreign(root: Path, path: Path, allowed: set[str]) -> set[str]:
    """Top-level names that a file imports beyond the standard library and `allowed`."""
    tops = {name.split(".")[0] for _, name in imported(root, path)}
    return tops - set(sys.stdlib_module_names) - allowed


def test_rooms_import_only_what_lies_below_them():
    assert wrong_rooms(ROOT) == []


def test_members_never_import_each_other():
    assert {f"trainers.convnext_{size}" for size in ("small", "base", "large")} < members(ROOT)
    assert members_that_meet(ROOT) == []


def test_keras_cv_is_imported_in_one_place():
    assert importers(ROOT, "keras_cv") == {"cells/augment_layers.py"}


def test_networks_are_written_against_keras():
    assert importers(ROOT, "tensorflow.keras") == set()


def test_the_runtime_imports_numpy_tensorflow_h5py():
    assert foreign(ROOT, ROOT / "submission" / "model.py", RUNTIME) == set()


def test_programs_of_the_platform_import_nothing_of_ours():
    for path in modules(ROOT, "emulator/programs"):
        assert foreign(ROOT, path, {"numpy", "model"}) == set(), path


def test_no_module_is_imported_by_string():
    rooms = [room for room in MAY_IMPORT if room != "emulator"]  # it imports what people upload
    files = [path for room in rooms for path in modules(ROOT, room)]
    assert {str(path): list(by_string(path)) for path in files if list(by_string(path))} == {}


def test_dependencies_are_those_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {line.partition(">")[0] for line in project["dependencies"]}
    optional = {*project["optional-dependencies"]["logs"], "jax"}
    files = [path for room in MAY_IMPORT for path in modules(ROOT, room)]
    ours = {*MAY_IMPORT, "model"}  # the module that a submission brings
    tops = set().union(*(foreign(ROOT, path, ours) for path in files))
    optional |= {"torch"}  # the benchmark's, in an environment of its own: requirements/torch.txt
    assert {PACKAGE_OF.get(top, top) for top in tops} == declared | optional


def test_optional_packages_are_imported_in_one_place_and_only_when_asked_for():
    for package in ("mlflow", "wandb"):
        assert importers(ROOT, package) == {"trainers/logs.py"}
    tree = ast.parse((ROOT / "trainers" / "logs.py").read_text())
    at_the_top = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import)]
    assert at_the_top == ["import os", "import keras"]
    assert importers(ROOT, "jax") == {  # under its own backend only
        "trainers/backend.py",
        "trainers/bench_depthwise.py",
    }


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A house of six empty rooms, two members and their catalogue."""
    for room in MAY_IMPORT:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("")
    (tmp_path / "trainers" / "one.py").write_text("from cells import dataset\n")
    (tmp_path / "trainers" / "two.py").write_text("")
    catalog = "from trainers import one, two\nMEMBERS: dict = {'1': one, '2': two}\n"
    (tmp_path / "trainers" / "catalog.py").write_text(catalog)
    return tmp_path


def test_the_readers_accept_a_sound_house(house: Path):
    assert wrong_rooms(house) == []
    assert members(house) == {"trainers.one", "trainers.two"}
    assert members_that_meet(house) == []


@pytest.mark.parametrize(
    ("room", "text", "found"),
    [
        ("cells", "import trainers.fit", "cells/bad.py:1 trainers"),
        ("submission", "from cells.errors import BcsubError", "submission/bad.py:1 cells"),
        ("ensemble", "import os\n\ndef f():\n    import trainers", "ensemble/bad.py:4 trainers"),
        ("emulator", "from submission import model", "emulator/bad.py:1 submission"),
        ("trainers", "from ensemble import blend as b", "trainers/bad.py:1 ensemble"),
        ("emulator", "if True:\n    from bcsub.app import app", "emulator/bad.py:2 bcsub"),
    ],
)
def test_a_wrong_import_is_found(house: Path, room: str, text: str, found: str):
    (house / room / "bad.py").write_text(text)
    assert wrong_rooms(house) == [found]


@pytest.mark.parametrize(
    "text", ["from trainers import one", "from . import one", "from .one import RECIPE"]
)
def test_a_member_that_imports_another_is_found(house: Path, text: str):
    (house / "trainers" / "two.py").write_text(text)
    assert [line.split(":")[0] for line in members_that_meet(house)] == ["trainers/two.py"]


def test_the_other_readers_find_what_they_look_for(house: Path):
    path = house / "submission" / "model.py"
    path.write_text("import os, keras\nfrom tensorflow import keras as k\n__import__('cells')\n")
    assert foreign(house, path, RUNTIME) == {"keras"}
    assert importers(house, "tensorflow.keras") == {"submission/model.py"}
    assert list(by_string(path)) == [3]


def test_help_comes_at_once_and_without_tensorflow():
    code = (
        "import sys\nfrom bcsub.app import app\n"
        "try: app(['--help'])\nexcept SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'keras_cv', 'sklearn', 'scipy', 'cv2', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr
    assert "prepare" in run.stdout
    # of the processor's time, which other work on the machine does not lengthen much
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 2, f"bcsub --help: expected an answer within 2 s, took {seconds:.1f} s"
