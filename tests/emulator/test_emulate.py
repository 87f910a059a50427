"""Whole runs of tiny submissions: every verdict, the platform's manner, what stays behind."""

import csv
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from cells.errors import SubmissionError
from emulator.emulate import emulate, new_folder
from emulator.isolation import GUARD, MARKER
from emulator.verdict import VERDICTS


def model(body: str, before: str = "", init: str = "") -> str:
    """A model.py with these statements in predict, at the top and in the constructor."""
    lines = ["import os, sys, time", "import numpy as np", *before.splitlines(), "class Model:"]
    if init:
        lines += ["    def __init__(self):", *(f"        {line}" for line in init.splitlines())]
    lines += ["    def predict(self, X):", *(f"        {line}" for line in body.splitlines())]
    return "\n".join(lines)


def test_ok_is_scored_and_leaves_its_files(run, by_colour, tmp_path):
    result = run(by_colour)
    assert result["verdict"] == "ok"
    assert result["accuracy"] == 0.9
    assert result["message"] == "accuracy 0.9000 on 10 images (ten colours)"
    assert result["interval"] == pytest.approx([0.59585, 0.98212], abs=1e-5)
    assert result["confusion"] == [[3, 0, 1], [0, 3, 0], [0, 0, 3]]
    assert result["images"] == 10
    assert 0 <= result["load_s"] < 60
    assert 0 <= result["predict_s"] < 60
    assert 5 < result["peak_mb"] < 2000
    assert "error" not in result
    out = tmp_path / "out"
    assert json.loads((out / "scores.json").read_text()) == result
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.reader((out / "predictions.csv").read_text().splitlines()))
    assert rows[0] == ["row", "predicted", "true", "predicted_class", "true_class"]
    assert rows[1] == ["100", "0", "0", "red", "red"]
    assert rows[10] == ["109", "2", "0", "blue", "red"]
    lines = (out / "classes.csv").read_text().splitlines()
    assert lines[:2] == ["class,images,precision,recall,f1", f"red,4,1.0,0.75,{6 / 7}"]


@pytest.mark.parametrize(
    ("text", "verdict", "says"),
    [
        (
            "import no_such_thing",
            "import_error",
            "No module named 'no_such_thing' (model.py, line 1)",
        ),
        ("class Model(", "import_error", "SyntaxError: '(' was never closed (model.py, line 1)"),
        ("class model: pass", "import_error", "no class Model (its classes: model)"),
        ("import sys; sys.exit(0)", "import_error", "importing model.py: SystemExit: 0"),
        (
            "import os; os._exit(0)",
            "import_error",
            "the process ended (exit code 0) importing model.py",
        ),
        (
            model("return 0", init="open('weights.h5')"),
            "init_error",
            "constructing the model: FileNotFoundError: [Errno 2] No such file or directory: "
            "'weights.h5' (model.py, line 5)",
        ),
        (
            "class Model:\n    def __init__(self, path): pass",
            "init_error",
            "missing 1 required positional argument: 'path'",
        ),
        (
            model("return undefined"),
            "predict_error",
            "in predict: NameError: name 'undefined' is not defined (model.py, line 5)",
        ),
        ("class Model: pass", "predict_error", "'Model' object has no attribute 'predict'"),
        (model("sys.exit(0)"), "predict_error", "in predict: SystemExit: 0 (model.py, line 5)"),
        (
            model("print('goodbye'); os._exit(0)"),
            "predict_error",
            "the process ended (exit code 0) in predict; the last line it wrote: goodbye",
        ),
        (
            model("os.kill(os.getpid(), 11)"),
            "predict_error",
            "the process ended (SIGSEGV) in predict",
        ),
        (model("return np.zeros(1 << 50)"), "memory", "out of memory in predict: "),
        (model("return [1, [2, 3]]"), "bad_output", "ValueError: setting an array element"),
        (model("return None"), "bad_output", "predict returned NoneType, not an array of numbers"),
        (
            model("return np.eye(3)[X[:, 0, 0].argmax(1)]"),
            "bad_output",
            "shape (10, 3) (one-hot or",
        ),
    ],
)
def test_faults_get_one_verdict_and_one_line(run, tmp_path, text, verdict, says):
    result = run(text)
    assert result["verdict"] == verdict
    assert verdict in VERDICTS
    assert says in result["error"]
    assert "\n" not in result["error"]
    assert result["accuracy"] is None
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["verdict"] == verdict
    assert not (tmp_path / "out" / "confusion.png").exists()


def test_a_forged_outcome_does_not_pass(run):
    # The submission writes what the ingestion program would, all but the token, and leaves.
    forged = (
        "import json\n"
        "out = os.path.join(os.path.dirname(os.getcwd()), 'output')\n"
        "np.save(os.path.join(out, 'predictions.npy'), np.zeros(10, int))\n"
        "json.dump({'phase': 'done', 'token': '', 'error': None},"
        " open(os.path.join(out, 'outcome.json'), 'w'))\n"
        "os._exit(0)"
    )
    assert run(model(forged))["verdict"] == "import_error"


def test_the_traceback_stands_in_the_log(run, tmp_path):
    run(model("print('before'); raise KeyError('weights')"))
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "before\n" in log
    assert "Traceback (most recent call last)" in log
    assert "KeyError: 'weights'" in log


def test_tensors_and_lists_pass_as_they_did_in_earlier_editions(run):
    tensor = (
        "class Tensor:\n"
        "    def __array__(self, dtype=None, copy=None):\n"
        "        return np.zeros(10, np.int32)\n"
    )
    assert run(model("return Tensor()", before=tensor))["accuracy"] == 0.4
    assert run(model("return [0.0] * len(X)"))["accuracy"] == 0.4


def test_a_platform_may_ask_for_a_tensor_or_one_hot(run, by_colour):
    tensor = "class Tensor:\n    def numpy(self):\n        return np.zeros(10, np.int64)\n"
    tensor += "    def __array__(self, dtype=None, copy=None):\n        return self.numpy()\n"
    asked = {"answer": "tensor"}
    assert run(model("return Tensor()", before=tensor), **asked)["accuracy"] == 0.4
    result = run(by_colour, **asked)
    assert result["verdict"] == "bad_output"
    assert "predict returned ndarray, not a tensor" in result["error"]
    rows = "return np.eye(3)[X.mean(axis=(1, 2)).argmax(axis=1)]"
    assert run(model(rows), answer="one-hot")["accuracy"] == 0.9
    result = run(by_colour, answer="one-hot")
    assert result["verdict"] == "bad_output"
    assert "expected (10, 3) one-hot rows, got shape (10,)" in result["error"]


def test_the_platforms_manner(run):
    looks = (
        "assert type(X) is np.ndarray and X.shape == (10, 16, 16, 3) and X.dtype == np.uint8\n"
        "assert X.max() == 200 and X.flags.writeable\n"
        "assert open('notes.txt').read() == 'beside'\n"
        "assert sys.stdin.read() == ''\n"
        "return np.zeros(len(X), int)"
    )
    assert run(model(looks), {"notes.txt": "beside"})["verdict"] == "ok"


def test_class_name_init_and_working_directory_are_the_competitions(run):
    old = (
        "import os\n"
        "import numpy as np\n"
        "class model:\n"
        "    def __init__(self, path):\n"
        "        self.bias = int(open(os.path.join(path, 'bias.txt')).read())\n"
        "        assert not os.path.exists('bias.txt')\n"
        "    def predict(self, X):\n"
        "        return np.full(len(X), self.bias)\n"
    )
    result = run(
        old,
        {"bias.txt": "1", "metadata": ""},
        class_name="model",
        init="path",
        working_directory="program",
        metadata=True,
    )
    assert (result["verdict"], result["accuracy"]) == ("ok", 0.3)


def test_bad_zip_is_a_verdict_and_no_file_is_an_error(zip_of, labelled, competition, tmp_path):
    nested = zip_of({"mine/model.py": "", "mine/weights.h5": ""})
    result = emulate(nested, labelled, competition, tmp_path / "out")
    assert result["verdict"] == "bad_zip"
    assert "expected model.py at the root, got mine/model.py" in result["error"]
    assert result["predict_s"] is None
    assert (tmp_path / "out" / "scores.json").exists()
    with pytest.raises(SubmissionError, match="expected a zip file, got none"):
        emulate(tmp_path / "none.zip", labelled, competition, tmp_path / "other")


IMPORTS = """
failed = []
for name in ("bcsub", "cells", "cells.errors", "emulator", "ensemble", "submission", "trainers"):
    try:
        __import__(name)
    except ImportError:
        failed.append(name)
assert len(failed) == 7, failed
sys.path.append(os.environ.get("HERE", HERE))
try:
    import cells
except ModuleNotFoundError as error:
    assert "on the platform" in str(error)
else:
    raise AssertionError("cells was imported")
"""


def test_nothing_of_ours_can_be_imported(run):
    here = f"HERE = {str(Path(__file__).parents[2])!r}"
    result = run(model("return np.zeros(len(X), int)", before=here + IMPORTS))
    assert result["verdict"] == "ok", result["message"]


def test_a_teams_own_file_may_have_the_name_of_one_of_our_packages(run):
    text = "from ensemble import Model"
    result = run(text, {"ensemble.py": model("return np.ones(len(X), int)")})
    assert (result["verdict"], result["accuracy"]) == ("ok", 0.3)


NETWORK = """
import errno, socket
for reach in (
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    lambda: socket.socket().connect(("127.0.0.1", 9)),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9)),
):
    try:
        reach()
    except OSError as error:
        assert error.errno == errno.ENETUNREACH, error
    else:
        raise AssertionError("reached")
try:
    socket.getaddrinfo("example.org", 80)
except OSError:
    pass
else:
    raise AssertionError("resolved")
one, other = socket.socketpair()
one.send(b"x")
assert other.recv(1) == b"x"
return np.zeros(len(X), int)
"""


@pytest.mark.parametrize("isolation", [None, GUARD])
def test_there_is_no_network(run, isolation):
    result = run(model(NETWORK), isolation=isolation)
    assert result["verdict"] == "ok", result["message"]
    if isolation is GUARD:
        assert result["isolation"] == "socket-guard"


def test_the_parents_environment_stays_with_the_parent(run, monkeypatch):
    monkeypatch.setenv("A_SECRET", "token")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    looks = (
        "known = {'PATH', 'LD_LIBRARY_PATH', 'CUDA_VISIBLE_DEVICES', 'HOME', 'TMPDIR', 'LANG',"
        f" 'PYTHONUNBUFFERED', 'TF_CPP_MIN_LOG_LEVEL', {MARKER!r}, 'PWD', 'OLDPWD', 'SHLVL', '_',"
        " 'LC_CTYPE'}\n"
        "assert set(os.environ) <= known, set(os.environ) - known\n"
        "assert os.listdir(os.environ['HOME']) == []\n"
        "return np.zeros(len(X), int)"
    )
    result = run(model(looks))
    assert result["verdict"] == "ok", result["message"]


def test_the_labels_are_nowhere_near_the_submission(run):
    looks = (
        "here = os.path.dirname(os.getcwd())\n"
        "files = {n for _, _, names in os.walk(here) for n in names if not n.endswith('.pyc')}\n"
        "assert files == {'guard.py', 'guard.json', 'ingestion.py', 'platform.json', 'model.py',"
        " 'images.npy', 'outcome.json'}, files\n"
        "images = np.load(os.path.join(here, 'input_data', 'images.npy'))\n"
        "assert images.shape == (10, 16, 16, 3)\n"
        "assert not any(word in text for text in sys.argv for word in ('label', 'colours'))\n"
        "return np.zeros(len(X), int)"
    )
    result = run(model(looks))
    assert result["verdict"] == "ok", result["message"]


def left_over(word: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if word in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


@pytest.mark.parametrize("isolation", [None, GUARD])
def test_the_time_limit_ends_the_whole_family(run, isolation):
    # One grandchild stays in the tree and ignores SIGTERM, one leaves tree and session.
    word = f"sleeper-{os.getpid()}-{time.monotonic_ns()}"
    sleeper = f"import time; time.sleep(300)  # {word}"
    body = (
        "import signal, subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', {sleeper!r}, {word!r}])\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    subprocess.Popen([sys.executable, '-c', {sleeper!r}, {word!r}])\n"
        "    os._exit(0)\n"
        "open('started', 'w').close()\n"
        "time.sleep(300)"
    )
    started = time.monotonic()
    result = run(model(body), limit_s=2, isolation=isolation)
    assert result["verdict"] == "timeout"
    assert result["error"] == (
        "Execution Time Limit exceeded. Limit was 2 seconds, reached in predict."
    )
    assert time.monotonic() - started < 20
    assert result["seconds"] < 10
    assert left_over(word) == []


@pytest.mark.parametrize("isolation", [None, GUARD])
def test_a_daemon_that_outlives_predict_is_ended(run, isolation):
    word = f"daemon-{os.getpid()}-{time.monotonic_ns()}"
    body = (
        "import subprocess\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)', "
        f"{word!r}], start_new_session=True)\n"
        "return np.zeros(len(X), int)"
    )
    result = run(model(body), isolation=isolation)
    assert result["verdict"] == "ok"
    assert left_over(word) == []


def test_the_memory_of_child_processes_counts(run):
    body = (
        "import subprocess\n"
        "hold = 'x = bytearray(300_000_000); import time; time.sleep(0.6)'\n"
        "subprocess.run([sys.executable, '-c', hold])\n"
        "return np.zeros(len(X), int)"
    )
    assert 300 < run(model(body))["peak_mb"] < 2000


def test_a_short_peak_is_not_missed(run):
    body = "np.ones(400_000_000, np.uint8)\nreturn np.zeros(len(X), int)"
    assert 400 < run(model(body))["peak_mb"] < 2000


def test_nothing_stays_in_the_temporary_folder(run, tmp_path, monkeypatch):
    area = tmp_path / "area"
    area.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(area))
    body = "os.makedirs('locked/inner')\nos.chmod('locked', 0)\nraise SystemError('x')"
    assert run(model(body))["verdict"] == "predict_error"
    assert list(area.iterdir()) == []


def test_the_progress_names_the_phases(run):
    said: list[str] = []
    run(model("time.sleep(.4)\nreturn np.zeros(len(X), int)"), report=said.append)
    assert said[0] == "unpacking team.zip"
    assert any(line.startswith("predicting, ") for line in said)
    assert said[-1] == "scoring"


def test_two_runs_in_one_second_get_two_folders(tmp_path):
    folders = [new_folder(tmp_path / "emulated", Path("dist/team.zip")) for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and "-team" in folder.name for folder in folders)


def test_the_result_is_json(run, by_colour):
    result = run(by_colour)
    assert not [value for value in result.values() if isinstance(value, np.generic)]
    json.dumps(result, allow_nan=False)
