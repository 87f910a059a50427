"""work/dataset.h5: images, labels, why a row was dropped, group, part and fold, the shifted copy.

`bcsub prepare` writes it once; everything above reads it through `Dataset`.
Row numbers are the archive's own everywhere, so a row can be found again in the file it came from.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from pydantic import ValidationError

from cells.asked import asked_before
from cells.competition import Competition
from cells.errors import DatasetError
from cells.files import replacing_h5

FORMAT = 1
KEPT, COPY, JOKE, OUTLIER, MANUAL = 0, 1, 2, 3, 4
REASONS = ("", "copy", "joke", "outlier", "manual")
DROPPED_PART, TRAIN_PART, TEST_PART = -1, 0, 1


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset; the small arrays in memory, images read row by row from the file.

    labels: (rows,) int64, with the user's decisions. dropped: (rows,) uint8, an index into REASONS.
    group: (rows,) int32, near copies share a number. part: (rows,) int8, one of the *_PART.
    fold: (rows,) int8, 0..folds-1 in the train part, `folds` for rows that are never held out,
    else -1.
    shift_family, shift_severity: (rows,) uint8, an index into `shift_names`, and 1-5.
    """

    path: Path
    competition: Competition
    fingerprint: str
    folds: int
    shift_names: tuple[str, ...]
    labels: np.ndarray
    dropped: np.ndarray
    group: np.ndarray
    part: np.ndarray
    fold: np.ndarray
    shift_family: np.ndarray
    shift_severity: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels."""
        return self.competition.classes

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Images of `rows`, in that order: (n, px, px, 3) uint8, 0-255."""
        return self._read("images", rows)

    def shifted(self, rows: np.ndarray) -> np.ndarray:
        """The one shifted copy of each of `rows`: (n, px, px, 3) uint8, 0-255."""
        return self._read("shifted", rows)

    def train_rows(self, fold: int) -> np.ndarray:
        """Rows that a member holding out `fold` may learn from, inner rows included."""
        self._check_fold(fold)
        return np.flatnonzero((self.part == TRAIN_PART) & (self.fold != fold))

    def held_out_rows(self, fold: int) -> np.ndarray:
        """Rows that a member holding out `fold` never sees."""
        self._check_fold(fold)
        return np.flatnonzero((self.part == TRAIN_PART) & (self.fold == fold))

    def test_rows(self) -> np.ndarray:
        """Rows used for nothing but final tables."""
        return np.flatnonzero(self.part == TEST_PART)

    def _check_fold(self, fold: int) -> None:
        if not 0 <= fold < self.folds:
            raise DatasetError(
                f"fold: expected 0 to {self.folds - 1}, got {fold}. "
                "`bcsub prepare --folds` sets how many there are."
            )

    def _read(self, name: str, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.int64)
        try:
            with h5py.File(self.path) as file:
                self._check_unchanged(str(file.attrs["fingerprint"]))
                stored = file[name]
                if len(rows) > len(self.labels) // 8:
                    return stored[:][rows]
                order, back = np.unique(rows, return_inverse=True)
                out = np.empty((len(order), *stored.shape[1:]), stored.dtype)
                for position, row in enumerate(order):
                    out[position] = stored[row]
                return out[back]
        except (OSError, KeyError) as error:
            raise _damaged(self.path, error) from None

    def _check_unchanged(self, found: str) -> None:
        """A dataset prepared anew under a running command would mix old labels with new images."""
        if found != self.fingerprint:
            raise DatasetError(
                f"{self.path}: expected dataset {self.fingerprint}, got {found}: it was prepared "
                "anew in the meantime. Run the command again."
            )


def _damaged(path: Path, error: Exception | str) -> DatasetError:
    return DatasetError(f"{path}: damaged ({error}). Run `{_command(path)}` again.")


def _command(path: Path) -> str:
    return asked_before(path.parent).command()


def open_dataset(path: Path) -> Dataset:
    """Read work/dataset.h5. Raises DatasetError when missing, damaged or of another format."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file. Run `{_command(path)}` first.")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("kind") != "dataset" or file.attrs.get("format") != FORMAT:
                raise DatasetError(
                    f"{path}: expected a dataset of format {FORMAT}, got "
                    f"{file.attrs.get('kind', 'another file')} {file.attrs.get('format', '')}. "
                    f"Run `{_command(path)}` again."
                )
            return Dataset(
                path=path,
                competition=Competition.model_validate_json(file.attrs["competition"]),
                fingerprint=str(file.attrs["fingerprint"]),
                folds=int(file.attrs["folds"]),
                shift_names=tuple(file.attrs["shift_names"]),
                **{name: file[name][:] for name in _ROW_ARRAYS},
            )
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise _damaged(path, f"its competition's {field} is of another version") from None
    except (OSError, KeyError) as error:
        raise _damaged(path, error) from None


_ROW_ARRAYS = ("labels", "dropped", "group", "part", "fold", "shift_family", "shift_severity")


def write_dataset(
    path: Path,
    competition: Competition,
    fingerprint: str,
    folds: int,
    shift_names: tuple[str, ...],
    images: np.ndarray,
    shifted: np.ndarray,
    rows: dict[str, np.ndarray],
    found: dict[str, np.ndarray] | None = None,
) -> None:
    """Write a dataset in one step.

    images, shifted: (rows, px, px, 3) uint8. rows: the row arrays of `Dataset` by name.
    found: what cleaning found before any decision, for `read_found`; arrays of a value a row.
    """
    with replacing_h5(path) as file:
        file.attrs["kind"] = "dataset"
        file.attrs["format"] = FORMAT
        file.attrs["competition"] = competition.model_dump_json()
        file.attrs["fingerprint"] = fingerprint
        file.attrs["folds"] = folds
        file.attrs["shift_names"] = list(shift_names)
        file["images"] = images
        file["shifted"] = shifted
        for name in _ROW_ARRAYS:
            file[name] = rows[name]
        for name, values in (found or {}).items():
            file[f"found/{name}"] = values


def read_found(path: Path) -> dict[str, np.ndarray]:
    """What cleaning found in the archive, before any decision: arrays of a value a row, by name.

    Texts come as str objects. Raises DatasetError when the dataset is missing, damaged or has none.
    """
    try:
        with h5py.File(path) as file:
            stored = file["found"].items()
            return {
                name: each.asstr()[:] if each.dtype.kind == "O" else each[:]
                for name, each in stored
            }
    except (OSError, KeyError) as error:
        raise _damaged(path, error) from None
