"""All commands in one list. TensorFlow is imported inside them: `--help` answers at once."""

import typer

from bcsub import doctor, emulate, ensemble, prepare, train

app = typer.Typer(
    name="bcsub",
    help="From a labelled archive of images to an ensembled submission whose score is known.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("doctor")(doctor.doctor)
app.command("draw")(prepare.draw)
app.command("prepare")(prepare.prepare)
app.command("train")(train.train)
app.command("predict")(train.predict)
app.command("ensemble")(ensemble.ensemble)
app.command("pack")(emulate.pack)
app.command("emulate")(emulate.emulate)
