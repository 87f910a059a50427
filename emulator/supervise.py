"""Run one process tree to its end: log kept, memory polled, time limited, nothing left behind."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from emulator.isolation import MARKER

POLL_S = 0.1
# A submission that prints without end must not fill the disk: the log keeps both ends.
LOG_HEAD_BYTES = 4_000_000
LOG_TAIL_BYTES = 64_000
_KILL_S = 10.0


@dataclass(frozen=True)
class Usage:
    """How a process tree ended and what it took.

    exit_code: 0-255 as the process gave it, 128 + n when signal n ended it.
    timed_out: whether we ended it. oom_killed: whether the system did, for want of memory.
    peak_mb: the largest sum over the tree of resident memory, polled every 100 ms.
    """

    exit_code: int
    timed_out: bool
    oom_killed: bool
    seconds: float
    peak_mb: float


def supervise(
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    log: Path,
    text: str,
    limit_s: float | None,
    watch: Callable[[float, float], None],
) -> Usage:
    """Run `command` in `folder` and wait for it, `limit_s` seconds at most.

    text: its standard input. environment: all of it, MARKER included.
    watch: called with seconds and MB at every poll.
    When this returns or raises, Ctrl-C included, no process of the tree is left.
    """
    oom_kills, start_s = _oom_kills(), time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    tree = _Tree(process, environment[MARKER])
    pump = threading.Thread(target=_keep_ends, args=(process.stdout, log), daemon=True)
    pump.start()
    ended, timed_out, peak_mb = False, False, 0.0
    try:
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(text.encode())
        while not timed_out and not (ended := _ended(process)):
            now_mb, now_s = tree.resident_mb(), time.monotonic() - start_s
            peak_mb = max(peak_mb, now_mb)
            timed_out = limit_s is not None and now_s > limit_s
            watch(now_s, now_mb)
        seconds = time.monotonic() - start_s
    finally:
        tree.kill()
        pump.join(timeout=_KILL_S)
    code = process.returncode
    exit_code = 128 - code if code < 0 else code
    killed = ended and exit_code == 128 + signal.SIGKILL
    return Usage(exit_code, timed_out, killed and _oom_kills() > oom_kills, seconds, peak_mb)


def _ended(process: subprocess.Popen) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(POLL_S)
    return process.returncode is not None


class _Tree:
    """A process, and all that ever came from it."""

    def __init__(self, process: subprocess.Popen, marker: str) -> None:
        self._process = process
        self._root = psutil.Process(process.pid)
        self._marker = marker
        self._seen = {self._root}

    def resident_mb(self) -> float:
        """Resident memory of all of them, MB."""
        self._look()
        resident = 0
        for process in self._seen:
            with suppress(psutil.Error):
                resident += process.memory_info().rss
        return resident / 1e6

    def kill(self) -> None:
        """Kill them until none is left, those too that left the tree or its session."""
        deadline_s = time.monotonic() + _KILL_S
        while time.monotonic() < deadline_s:
            self._look()
            self._seen.update(self._marked())
            if self._process.poll() is None:
                self._process.kill()
            alive = [process for process in self._seen if _alive(process)]
            if not alive and self._process.poll() is not None:
                return
            for process in alive:
                # Our own child is killed above: psutil would reap it and lose its exit code.
                if process.pid != self._process.pid:
                    with suppress(psutil.Error):
                        process.kill()
            time.sleep(0.01)

    def _look(self) -> None:
        with suppress(psutil.Error):
            self._seen.update(self._root.children(recursive=True))

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARKER) == self._marker:
                    yield process


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _keep_ends(stream: IO[bytes], log: Path) -> None:
    """Copy a stream into `log`; of a very long one its beginning and its end."""
    room, cut, tail = LOG_HEAD_BYTES, 0, b""
    with log.open("wb", buffering=0) as file, stream:
        # Popen's pipe is typed IO[bytes]; it is a BufferedReader, which has read1
        while chunk := stream.read1(65536):  # type: ignore[attr-defined]
            file.write(chunk[:room])
            rest, room = chunk[room:], max(0, room - len(chunk))
            tail = tail + rest
            cut += max(0, len(tail) - LOG_TAIL_BYTES)
            tail = tail[-LOG_TAIL_BYTES:]
        if cut:
            file.write(f"\n[... {cut} bytes left out ...]\n".encode())
        file.write(tail)


def _oom_kills() -> int:
    """How many processes Linux has ended for want of memory since it started; 0 elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


@contextmanager
def ending_on_terminate() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise SystemExit, so that clean-up runs as it does on Ctrl-C."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
