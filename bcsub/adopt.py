"""`bcsub adopt`: a trained Keras model that someone brings, as a member like any other."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from bcsub.console import Json, Root, answer, say
from bcsub.quiet import import_tensorflow


def adopt(
    file: Annotated[Path, typer.Argument(help="A whole model: model.save('NAME.keras').")],
    name: Annotated[str, typer.Option(help="What to call the member.")],
    trained_on: Annotated[
        Path | None,
        typer.Option(
            help="What it learnt from: a dataset.h5 (this one: its rows without --fold), or a list "
            "of the archive's rows. Without it the member's scores are marked not honest.",
        ),
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="The fold that it held out.")] = 0,
    pixels: Annotated[
        Literal["0-255", "0-1", "-1-1"], typer.Option(help="What its input was, in training.")
    ] = "0-255",
    resize: Annotated[
        Literal["nearest", "bilinear", "bicubic"] | None,
        typer.Option(help="How images got its size, where that is not the competition's."),
    ] = None,
    storage: Annotated[
        Literal["float16", "int8", "float32"], typer.Option(help="Of its kernels in the file.")
    ] = "float16",
    root: Root = Path("."),
    as_json: Json = False,
) -> None:
    """Make a trained Keras model a member: exported, predicted, and scored like the others.

    Its last layer must give a number for each class, in the competition's order; augmentation
    layers do nothing any more. The same model adopted again is left as it is.
    """

    def work() -> dict[str, Any]:
        import_tensorflow()
        from cells.dataset import open_dataset
        from trainers.adopt import Adopted, adopt

        asked = Adopted(file, name, trained_on, fold, pixels, resize, storage)
        return adopt(asked, open_dataset(root / "work" / "dataset.h5"), root / "runs", say)

    def show(console: Console, result: dict[str, Any]) -> None:
        lines = [
            f"{result['run']}, fold {result['fold']}: {result['clean_accuracy']:.4f} clean, "
            f"{result['shifted_accuracy']:.4f} shifted",
            result["said"],
            *([result["hint"]] if result["hint"] else []),
            "next: bcsub ensemble",
        ]
        console.print(escape("\n".join(lines)), highlight=False, soft_wrap=True)

    answer(as_json, work, show)
