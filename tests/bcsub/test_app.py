"""What holds for every command: a fault is one line and exit 1, and JSON where that was asked."""

import errno
import json
from pathlib import Path

import pytest
import typer

from bcsub import console
from bcsub.app import app, run


def failure(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    """Standard output and error of a command that fails."""
    assert run([str(each) for each in arguments]) == 1
    return capfd.readouterr()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "--bogus"], "No such option: --bogus"),
        (["train", "--seed", "-1"], "--seed"),
        (["ensemble", "--seed", "-1"], "--seed"),
        (["train", "--folds", "two"], "--folds"),
        (["draw"], "Missing argument"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_a_wrong_option_is_a_fault_like_any_other(arguments, text, capfd):
    out, err = failure(capfd, *arguments)
    assert out == ""
    assert err.startswith("error ")
    assert err.count("\n") == 1
    assert text in err
    command = f"bcsub {arguments[0]}" if arguments[0] != "frobnicate" else "bcsub"
    assert err.endswith(f". See `{command} --help`.\n")
    if arguments[0] != "frobnicate":
        out, err = failure(capfd, *arguments, "--json")
        assert err == ""
        assert text in json.loads(out)["error"]


def test_what_the_system_refuses_is_one_line(tmp_path: Path, capfd):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "archive.npz"  # below what is no folder
    out, err = failure(capfd, "draw", target)
    assert out == ""
    assert err.splitlines()[-1].startswith("error ")
    assert str(tmp_path / "file") in err.splitlines()[-1]
    assert "Traceback" not in err
    out, _ = failure(capfd, "draw", target, "--json")
    assert str(tmp_path / "file") in json.loads(out)["error"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device. Make room, or choose another folder."),
        (errno.EACCES, "Permission denied. Change who may use it, or choose another path."),
        (errno.EROFS, "Read-only file system. Choose a folder that can be written to."),
        (
            errno.ENOTDIR,
            "Not a directory. A file stands where a folder must be: move it, or choose another "
            "path.",
        ),
    ],
)
def test_advice_is_about_what_was_refused(number, advice, capfd):
    def work() -> dict:
        raise OSError(number, "a story", "some/path")

    with pytest.raises(typer.Exit):
        console.answer(True, work, lambda *_: None)
    assert json.loads(capfd.readouterr().out) == {"error": f"some/path: {advice}"}


def test_a_refusal_names_the_target_not_the_temporary_file(tmp_path: Path, capfd):
    (tmp_path / "folder.npz").mkdir()
    out, _ = failure(capfd, "draw", tmp_path / "folder.npz", "--force", "--json")
    assert json.loads(out)["error"].startswith(f"{tmp_path / 'folder.npz'}: Is a directory.")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="/proc takes no folder; on Linux")
@pytest.mark.parametrize(
    "arguments", [("draw", "/proc/nope/t.npz"), ("fetch", "pbc", "--out", "/proc/nope")]
)
def test_a_folder_that_cannot_be_made(arguments, capfd):
    out, _ = failure(capfd, *arguments, "--json")
    assert json.loads(out) == {
        "error": "/proc/nope: Operation not permitted. Choose a folder that can be written to."
    }


def test_our_own_wrong_path_keeps_its_traceback():
    def work() -> dict:
        return {"text": Path("no/such/file").read_text()}

    with pytest.raises(FileNotFoundError):
        console.answer(True, work, lambda *_: None)


def test_an_interrupted_command_says_that_it_goes_on(monkeypatch, capfd):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bcsub.doctor.answer", interrupted)
    assert run(["doctor"]) == 130
    assert capfd.readouterr().err.startswith("error interrupted.")
    assert run(["doctor", "--json"]) == 130
    assert json.loads(capfd.readouterr().out)["error"].startswith("interrupted.")


def test_a_folder_that_is_not_there(tmp_path: Path, capfd):
    out, _ = failure(capfd, "doctor", "--root", tmp_path / "nowhere", "--json")
    assert json.loads(out) == {"error": f"--root: no such folder {tmp_path / 'nowhere'}."}


def test_a_bug_keeps_its_traceback():
    def work() -> dict:
        return {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        console.answer(True, work, lambda *_: None)


def test_without_a_command_there_is_help(capfd):
    assert run([]) == 0
    out = capfd.readouterr().out
    for command in app.registered_commands:
        assert command.name in out
