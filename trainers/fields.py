"""Where a field of a recipe lies, by its dotted name; and which one a wrong name may mean."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from cells.errors import RecipeError

ALIKE = 0.6  # difflib's ratio of two names of which one may be the other, mistyped
SPELT_OUT = {"learning_rate": "lr"}  # what others call a part of a field's name
NAMED = 4  # so many fields are proposed; more would help nobody


def value_at(recipe: Mapping[str, Any], path: str, wanted: str) -> Any:
    """The value that the field `path` ("policy.hue.rate") of a recipe's nested fields has now.

    wanted: the value that it is to get. Raises RecipeError for a field that there is not, naming
    the nearest, and for one that is no number but holds others.
    """
    here: Any = recipe
    for part in path.split("."):
        if not isinstance(here, Mapping) or part not in here:
            near = nearest(recipe, path)
            hint = f"Did you mean {_either(near)}?" if near else _beside(here)
            raise RecipeError(f"--set {path}: no field {part!r}. {hint}")
        here = here[part]
    if isinstance(here, Mapping):
        hint = f"Did you mean {path}.rate={wanted}?" if "rate" in here else _beside(here)
        raise RecipeError(
            f"--set {path}: expected one of the fields that it holds, got {wanted!r}. {hint}"
        )
    return here


def nearest(recipe: Mapping[str, Any], path: str) -> list[str]:
    """Dotted names of the fields that `path` is most like, at any depth, in their order.

    Those are most like it that end with it ("whole.patience" with patience); then those in which a
    name has its words among others ("whole.peak_lr" has lr); then those that differ by a slip of
    the hand. Of a field that holds others ("policy.hue") these are given.
    """
    asked = [SPELT_OUT.get(part, part) for part in path.split(".")]
    fields = dict(_paths(recipe))
    scores = {name: _likeness(asked, name.split(".")) for name in fields}
    most = max(scores.values())
    found = [name for name, score in scores.items() if score == most >= ALIKE]
    return [
        name
        for name, value in fields.items()
        if not isinstance(value, Mapping) and any(f"{name}.".startswith(f"{f}.") for f in found)
    ]


def _likeness(asked: list[str], parts: list[str]) -> float:
    """How like the last of `parts` are to `asked`, 0-1; the least like of them counts."""
    if len(asked) > len(parts):
        return 0.0
    return min(map(_alike, asked, parts[-len(asked) :]))


def _alike(asked: str, name: str) -> float:
    if asked == name:
        return 1.0
    among = set(asked.split("_")) <= set(name.split("_"))
    ratio = difflib.SequenceMatcher(None, asked, name).ratio()
    return max(0.9, ratio) if among else ratio


def _paths(recipe: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of all fields, also of those that hold others; not of `name`."""
    for name, value in recipe.items():
        if before or name != "name":
            yield before + name, value
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{name}.")


def _either(names: list[str]) -> str:
    """'a', 'b' or 'c', and how many more there are."""
    shown, more = [repr(name) for name in names[:NAMED]], len(names) - NAMED
    shown += [f"one of {more} more"] if more > 0 else []
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)


def _beside(here: Any) -> str:
    if not isinstance(here, Mapping):
        return "Nothing lies below a value."
    return f"There are {', '.join(name for name in here if name != 'name')}."
