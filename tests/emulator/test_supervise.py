"""The log keeps both ends, exit codes are what they were, interruption leaves nothing."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from emulator.isolation import MARKER
from emulator.supervise import (
    LOG_HEAD_BYTES,
    LOG_TAIL_BYTES,
    Usage,
    ending_on_terminate,
    supervise,
)


def python(tmp_path: Path, code: str, watch=lambda seconds, mb: None, text: str = "") -> Usage:
    return supervise(
        [sys.executable, "-I", "-c", code],
        tmp_path,
        {MARKER: f"{os.getpid()}-{time.monotonic_ns()}"},
        tmp_path / "log.txt",
        text,
        60,
        watch,
    )


def test_a_short_log_is_kept_whole_and_in_order(tmp_path):
    code = "import sys, os; print(input(), flush=True); os.write(2, b'err\\n'); print('end')"
    assert python(tmp_path, code, text="hello\n").exit_code == 0
    assert (tmp_path / "log.txt").read_text() == "hello\nerr\nend\n"


def test_of_a_long_log_both_ends_are_kept(tmp_path):
    line = "x" * 99
    code = f"print('first')\nfor _ in range(300_000): print({line!r})\nprint('last')"
    python(tmp_path, code)
    log = (tmp_path / "log.txt").read_bytes()
    assert log.startswith(b"first\n")
    assert log.endswith(b"last\n")
    assert len(log) < LOG_HEAD_BYTES + LOG_TAIL_BYTES + 100
    left_out = 6 + 300_000 * 100 + 5 - LOG_HEAD_BYTES - LOG_TAIL_BYTES
    assert f"\n[... {left_out} bytes left out ...]\n".encode() in log


def test_exit_codes_and_signals(tmp_path):
    assert python(tmp_path, "raise SystemExit(7)").exit_code == 7
    ended = python(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert (ended.exit_code, ended.timed_out, ended.oom_killed) == (137, False, False)


def test_a_fault_in_watch_ends_the_process(tmp_path):
    others = set(psutil.Process().children())  # an earlier test's, in this worker
    seen: list[psutil.Process] = []

    def watch(seconds: float, mb: float) -> None:
        seen.extend(set(psutil.Process().children()) - others)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        python(tmp_path, "import time; time.sleep(300)", watch)
    assert len(seen) == 1
    assert not seen[0].is_running()


def test_terminate_unwinds_within_the_block_and_only_there():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, ending_on_terminate():
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_may_emulate_too():
    entered = []

    def work() -> None:
        with ending_on_terminate():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]
