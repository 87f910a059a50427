"""Pictures of any size, brought to the competition's as its file says: middle, then resized."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cells.competition import Competition
from cells.errors import ArchiveError

# Pillow's filters widen when an image shrinks, as MedMNIST's did; OpenCV's do not.
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
MOST_SIZES = 3  # named in the note


@dataclass(frozen=True)
class Fit:
    """How pictures become (px, px, 3).

    upscale: whether a picture smaller than that may be enlarged.
    guarded: whether a whole view of the competition's public source is refused, for want of a
    split folder that says it is none of the hidden images.
    """

    competition: Competition
    upscale: bool = False
    guarded: bool = False

    def __call__(self, name: str, image: np.ndarray) -> np.ndarray:
        """The middle of (h, w, 3) uint8, resized: (px, px, 3) uint8. Raises ArchiveError."""
        height, width = image.shape[:2]
        self.check(name, height, width)
        px = self.competition.image_px
        side = self.side(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = image[top : top + side, left : left + side]
        if side == px:
            return middle
        chosen = FILTERS[self.competition.archive.resize or "bicubic"]
        return np.asarray(Image.fromarray(np.ascontiguousarray(middle)).resize((px, px), chosen))

    def whole_view(self, height: int, width: int) -> bool:
        """Whether a picture of this size may be one of the hidden images' source."""
        originals = self.competition.archive.originals
        return bool(
            originals and originals.hidden_among and min(height, width) >= originals.from_px
        )

    def side(self, height: int, width: int) -> int:
        """Side of the middle that is kept, in the picture's own pixels."""
        shorter, originals = min(height, width), self.competition.archive.originals
        if originals is None or shorter < originals.from_px:
            return shorter
        return originals.crop_px

    def check(self, name: str, height: int, width: int) -> None:
        """Raise ArchiveError unless a picture of this size may become a row."""
        competition, px = self.competition, self.competition.image_px
        if (height, width) == (px, px):
            return
        if competition.archive.resize is None:
            raise ArchiveError(
                f"{name}: expected {px}x{px} px, got {width}x{height}. The competition is "
                f"{competition.name}; choose another with --competition, or set resize under "
                "[archive] in its file."
            )
        if self.guarded and self.whole_view(height, width):
            raise ArchiveError(
                f"{name}: {width}x{height} px, a whole view of the public source, in no folder "
                "train/: it may be a hidden image. `bcsub fetch pbc` sorts them; "
                "--splits unsplit takes it all the same."
            )
        if self.side(height, width) < px and not self.upscale:
            raise ArchiveError(
                f"{name}: expected at least {px} px a side, got {width}x{height}: enlarging adds "
                "no detail. Take larger images (`bcsub fetch bloodmnist --px 128`), or ask for it "
                "with --upscale."
            )

    def note(self, sizes: Counter[tuple[int, int]]) -> str | None:
        """One line about the pictures of another size; sizes: (height, width) → how many."""
        px = self.competition.image_px
        others = {size: count for size, count in sizes.most_common() if size != (px, px)}
        if not others:
            return None
        parts = []
        for (height, width), count in list(others.items())[:MOST_SIZES]:
            side = self.side(height, width)
            part = "" if side == height == width else f", middle {side} px"
            parts.append(f"{count:,} of {width}x{height}{part}")
        if len(others) > MOST_SIZES:
            parts.append(f"{sum(list(others.values())[MOST_SIZES:]):,} of other sizes")
        how = self.competition.archive.resize
        return f"made {px} px ({how}): {'; '.join(parts)}"
