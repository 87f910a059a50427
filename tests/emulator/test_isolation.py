"""Which isolation is chosen, and that a chosen one isolates."""

import subprocess
from pathlib import Path

import pytest

import emulator.isolation
from emulator.isolation import (
    GUARD,
    TEXTS,
    Isolation,
    clean_environment,
    library_folders,
    strongest_isolation,
)


@pytest.fixture
def fresh():
    """The choice is remembered; forget it before and after."""
    strongest_isolation.cache_clear()
    yield
    strongest_isolation.cache_clear()


def test_without_unshare_sockets_are_guarded(fresh, monkeypatch):
    monkeypatch.setattr(emulator.isolation.shutil, "which", lambda _name: None)
    assert strongest_isolation() is GUARD


def test_an_unshare_that_fails_is_not_chosen(fresh, monkeypatch):
    tried = []

    def refused(command, **_options):
        tried.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(emulator.isolation.shutil, "which", lambda _name: "unshare")
    monkeypatch.setattr(emulator.isolation.subprocess, "run", refused)
    assert strongest_isolation() is GUARD
    assert all("--map-root-user" in command for command in tried[-2:])


def test_the_first_that_works_is_chosen(fresh, monkeypatch):
    def only_network(command, **_options):
        return subprocess.CompletedProcess(command, 1 if "--pid" in command else 0)

    monkeypatch.setattr(emulator.isolation.shutil, "which", lambda _name: "unshare")
    monkeypatch.setattr(emulator.isolation.subprocess, "run", only_network)
    assert strongest_isolation().name == "network-namespace"


def test_the_chosen_one_runs_and_has_no_interface_but_its_own_loop():
    isolation: Isolation = strongest_isolation()
    assert isolation.name in TEXTS
    if isolation is GUARD:
        pytest.skip("unshare does not work on this machine")
    ran = subprocess.run(
        [*isolation.prefix, "cat", "/proc/self/net/dev"], capture_output=True, text=True, check=True
    )
    interfaces = [line.split(":")[0].strip() for line in ran.stdout.splitlines()[2:]]
    assert interfaces == ["lo"]


def test_exit_codes_come_through():
    ran = subprocess.run([*strongest_isolation().prefix, "sh", "-c", "exit 7"], check=False)
    assert ran.returncode == 7


def test_the_environment_is_made_anew(monkeypatch):
    monkeypatch.setenv("A_SECRET", "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("HOME", "/the/parents")
    environment = clean_environment(Path("/tmp/home"), "mark")
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["HOME"] == environment["TMPDIR"] == "/tmp/home"
    assert "A_SECRET" not in environment


def test_numpy_lies_in_a_library_folder():
    import numpy

    assert any(numpy.__file__.startswith(folder) for folder in library_folders())
