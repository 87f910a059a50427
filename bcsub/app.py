"""All commands in one list. TensorFlow is imported inside them: `--help` answers at once."""

from typing import Any

import typer

from bcsub import adopt, doctor, emulate, ensemble, fetch, members, prepare, review, train
from bcsub.console import fail

INTERRUPTED = 130  # what a shell expects after Ctrl-C

app = typer.Typer(
    name="bcsub",
    help="From a labelled archive of images to an ensembled submission whose score is known.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("doctor")(doctor.doctor)
app.command("draw")(prepare.draw)
app.command("fetch")(fetch.fetch)
app.command("prepare")(prepare.prepare)
app.command("train")(train.train)
app.command("predict")(train.predict)
app.command("adopt")(adopt.adopt)
app.command("review")(review.review)
app.command("members")(members.members)
app.command("ensemble")(ensemble.ensemble)
app.command("pack")(emulate.pack)
app.command("emulate")(emulate.emulate)


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code; a wrong option is a fault like any other."""
    try:
        code: Any = app(arguments or ["--help"], prog_name="bcsub", standalone_mode=False)
    except typer.Abort:
        code = INTERRUPTED
    except Exception as error:
        # Typer's usage errors; their classes lie in click or in Typer, depending on its version
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "bcsub"
        text = error.format_message().rstrip(".")
        return fail(f"{text}. See `{command} --help`.", "--json" in arguments)
    if code == INTERRUPTED:
        fail("interrupted. The same command goes on, or begins again.", "--json" in arguments)
    return code if isinstance(code, int) else 0
