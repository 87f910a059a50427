"""Contact sheets: many small images on one PNG, with titles that can be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cells.files import replacing

DPI = 100
GAP_PX = 10
TEXT_PX = 13  # height of one line of a title
LETTER_PX = 7.2  # width of a letter of that height, on the safe side
HEADING_PX = 46
MARGIN_PX = 18
CELL_PX = 120  # smaller images are enlarged to at least this size


def contact_sheet(
    path: Path,
    images: np.ndarray,
    titles: Sequence[str] | None = None,
    columns: int = 8,
    heading: str = "",
    row_names: Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
) -> None:
    """Write images in rows of `columns`, left to right, as a PNG.

    images: (n, h, w, 3) uint8, 0-255. titles: one above each image, may hold line breaks.
    row_names, column_names: one to the left of each row, above each column.
    Raises ValueError when the numbers of images and titles differ.
    """
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"titles: expected {len(images)}, one an image, got {len(titles)}")
    columns = max(1, min(columns, max(len(images), 1)))
    rows = max(1, -(-len(images) // columns))
    height, width = images.shape[1:3] if len(images) else (CELL_PX, CELL_PX)
    enlarge = max(1.0, CELL_PX / max(height, width))
    cell_h, cell_w = round(height * enlarge), round(width * enlarge)

    lines = [title.split("\n") for title in titles or ()]
    title_lines = max(map(len, lines), default=0)
    title_w = _text_px([line for title in lines for line in title])
    step_x = max(cell_w, title_w, _text_px(column_names or ())) + GAP_PX
    title_h = title_lines * (TEXT_PX + 4) + (4 if title_lines else 0)
    step_y = cell_h + title_h + GAP_PX
    left = MARGIN_PX + (_text_px(row_names) + 10 if row_names else 0)
    top = MARGIN_PX + (HEADING_PX if heading else 0) + (TEXT_PX + 10 if column_names else 0)
    total_w = max(
        left + columns * step_x + MARGIN_PX, 2 * MARGIN_PX + round(1.5 * _text_px([heading]))
    )
    total_h = top + rows * step_y - GAP_PX + MARGIN_PX

    figure = Figure(figsize=(total_w / DPI, total_h / DPI), dpi=DPI)

    def write(x: float, y: float, text: str, size_px: float = TEXT_PX, **style: Any) -> None:
        points = size_px * 72 / DPI
        figure.text(x / total_w, 1 - y / total_h, text, fontsize=points, **style)

    if heading:
        write(MARGIN_PX, MARGIN_PX, heading, 17, va="top", weight="bold", color="#222222")
    for number, name in enumerate(column_names or ()):
        middle = left + number * step_x + cell_w / 2
        write(middle, top - 6, name, ha="center", va="bottom", color="#444444")
    for number, name in enumerate(row_names or ()):
        middle = top + number * step_y + title_h + cell_h / 2
        write(left - 10, middle, name, ha="right", va="center", color="#444444")
    corners = [
        (left + number % columns * step_x, top + number // columns * step_y + title_h)
        for number in range(len(images))
    ]
    for (x, y), title in zip(corners, titles or (), strict=False):
        write(x, y - 3, title, va="bottom", color="#222222", linespacing=1.15)

    # Matplotlib draws the texts only: through figimage the images took most of the time.
    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    canvas = np.array(drawn.buffer_rgba())[:, :, :3]
    for (x, y), image in zip(corners, images, strict=True):
        larger = cv2.resize(image, (cell_w, cell_h), interpolation=cv2.INTER_CUBIC)
        canvas[y : y + cell_h, x : x + cell_w] = larger
    with replacing(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))


def _text_px(lines: Sequence[str]) -> int:
    """Width that the longest of some lines may take."""
    return round(max(map(len, lines), default=0) * LETTER_PX)
