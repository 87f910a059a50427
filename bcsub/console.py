"""What every command shares: progress on standard error, one answer on standard output.

With --json standard output holds one JSON object and nothing else, whatever a library prints.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.markup import escape

from cells.errors import BcsubError

progress = Console(stderr=True)

# What a system refuses its user, and what to do; any other OSError is a wrong path of our own.
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Make room, or choose another folder."),
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f), or choose another disk.",
    errno.EACCES: "Change who may use it, or choose another path.",
    **dict.fromkeys((errno.EPERM, errno.EROFS), "Choose a folder that can be written to."),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR),
        "A file stands where a folder must be: move it, or choose another path.",
    ),
    errno.EISDIR: "Name a file, or move that folder away.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}

Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, for scripts.")
]
Root = Annotated[
    Path, typer.Option("--root", help="The folder that holds work/, runs/, submission/ and dist/.")
]


def say(line: str) -> None:
    """A line of progress, as it is: brackets in a path are no markup, and nothing wraps."""
    progress.print(escape(line), highlight=False, soft_wrap=True)


def answer(
    as_json: bool,
    work: Callable[[], dict[str, Any]],
    show: Callable[[Console, dict[str, Any]], None],
) -> None:
    """Run `work`, then print its result: as JSON, or through `show`.

    A BcsubError, and what the system refuses (a full disk, a folder that is not ours), become one
    line (or {"error": ...}) and exit code 1; anything else is a bug and keeps its traceback.
    A result with {"exit": n} sets the exit code and is not printed.
    """
    with _take_stdout() if as_json else nullcontext(sys.stdout) as out:
        try:
            result = work()
        except BcsubError as error:
            raise typer.Exit(fail(str(error), as_json, out)) from None
        except OSError as error:
            if error.errno not in ADVICE:
                raise
            what = os.strerror(error.errno)  # HDF5 tells a story instead, and no name
            where = error.filename2 or error.filename or "writing"
            line = f"{where}: {what}. {ADVICE[error.errno]}"
            raise typer.Exit(fail(line, as_json, out)) from None
        code = result.pop("exit", 0)
        if as_json:
            print(json.dumps(result), file=out, flush=True)
        else:
            show(Console(file=out), result)
    if code:
        raise typer.Exit(code)


def fail(text: str, as_json: bool, out: TextIO | None = None) -> int:
    """Say what went wrong in one line: as JSON on `out`, else on standard error. Returns 1."""
    line = " ".join(text.split())
    if as_json:
        print(json.dumps({"error": line}), file=out or sys.stdout, flush=True)
    else:
        progress.print(f"[red]error[/red] {escape(line)}", highlight=False, soft_wrap=True)
    return 1


@contextmanager
def _take_stdout() -> Iterator[TextIO]:
    """A private handle on standard output; file descriptor 1 itself goes to standard error."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(private), "w") as out:
            yield out
    finally:
        sys.stdout.flush()
        os.dup2(private, 1)
        os.close(private)
