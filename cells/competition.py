"""A competition is data: classes, image size, archive keys and how the platform calls the model.

Another edition is another TOML file in `cells/competitions/` or anywhere on disk.
"""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cells.errors import CompetitionError

DEFAULT = "an2dl2024"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Originals(_Strict):
    """Whole views in the public source of the competition's images, which shows their middle.

    from_px: an image whose shorter side is at least this is such a view. crop_px: side of its
    middle. hidden_among: whether the platform's hidden images may be among them.
    """

    from_px: int = Field(ge=16)
    crop_px: int = Field(ge=16)
    hidden_among: bool = False

    @model_validator(mode="after")
    def _middle_fits(self) -> Self:
        if self.crop_px > self.from_px:
            raise ValueError(f"crop_px is larger than from_px, {self.from_px}")
        return self


class Archive(_Strict):
    """Keys and pixel range of the archive that the platform gives out, and what else is read.

    resize: how an image of another size becomes the competition's; without it that is an error.
    folders: other names under which a class may have its folder, each with the class's own name.
    """

    images: str = "images"
    labels: str = "labels"
    pixel_max: float = Field(255, gt=0)
    resize: Literal["bicubic", "bilinear", "lanczos", "area", "nearest"] | None = None
    folders: dict[str, str] = {}
    originals: Originals | None = None


class Platform(_Strict):
    """How the platform calls what is uploaded."""

    class_name: Literal["Model", "model"] = "Model"
    init: Literal["none", "path"] = "none"
    working_directory: Literal["submission", "program"] = "submission"
    metadata: bool = False
    tensorflow: str | None = None
    keras: str | None = None
    size_limit_mb: float | None = Field(None, gt=0)
    time_limit_s: float | None = Field(None, gt=0)
    deadline_s: float | None = Field(None, gt=0)
    answer: Literal["labels", "tensor", "one-hot"] = "labels"
    bfloat16: bool = False

    @model_validator(mode="after")
    def _deadline_before_the_limit(self) -> Self:
        deadline_s, limit_s = self.deadline_s, self.time_limit_s
        if deadline_s is not None and limit_s is not None and deadline_s >= limit_s:
            raise ValueError(f"deadline_s is not below time_limit_s, {limit_s:g}")
        return self


class Competition(_Strict):
    """Everything that differs from one competition to the next."""

    name: str
    title: str
    classes: tuple[str, ...] = Field(min_length=2, max_length=255)
    image_px: int = Field(ge=16, le=1024)
    archive: Archive = Archive()
    platform: Platform = Platform()

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) != len(classes):
            raise ValueError("the same class stands there twice")
        return classes

    @model_validator(mode="after")
    def _folders_are_of_classes(self) -> Self:
        for folder, name in self.archive.folders.items():
            if name not in self.classes:
                raise ValueError(f"[archive.folders] {folder}: no class is called {name!r}")
        return self


def shipped() -> list[str]:
    """Names of the competition files that come with the package."""
    folder = files("cells") / "competitions"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_competition(name: str) -> Competition:
    """Read a competition by its shipped name or by the path of a TOML file.

    Raises CompetitionError when there is no such file or a field is wrong.
    """
    if name in shipped():
        content = (files("cells") / "competitions" / f"{name}.toml").read_bytes()
    elif Path(name).is_file():
        content = Path(name).read_bytes()
    else:
        raise CompetitionError(
            f"--competition: expected one of {', '.join(shipped())} or a TOML file, got {name!r}."
        )
    try:
        return Competition.model_validate(tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CompetitionError(
            f"competition {name}: expected TOML, got another kind of file ({error}). "
            f"Begin with a copy of {DEFAULT}.toml."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}." for part in first["loc"]).removesuffix(".") or "the file"
        whole = first["type"] == "missing" or isinstance(first["input"], dict)
        got = "" if whole else f", got {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        raise CompetitionError(
            f"competition {name}: {where}: {message}{got}. Correct it in the file."
        ) from None
