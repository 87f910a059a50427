"""In which fields a run's recipe differs from the member's as it ships today."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel

from cells.errors import RecipeError
from trainers.catalog import member
from trainers.recipe import Recipe, with_preset


@dataclass(frozen=True)
class Differences:
    """Of a stored recipe from the shipped one, fields with dotted names.

    changed: the stored values. gone: stored fields that no recipe has any more. new: fields that
    came after it was stored. shipped: False when the member or its preset is no longer there.
    """

    changed: dict[str, Any] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    shipped: bool = True

    def __str__(self) -> str:
        """Such as whole.epochs=40, policy.hue.rate=0.3."""
        if not self.shipped:
            return "the member or its preset is no longer there"
        parts = [*self.settings, *(f"{name} (no longer a field)" for name in self.gone)]
        parts += [f"older than {', '.join(self.new)}"] if self.new else []
        return ", ".join(parts)

    @property
    def settings(self) -> list[str]:
        """What `--set` would have to say."""
        return [f"{name}={as_setting(value)}" for name, value in self.changed.items()]


def from_shipped(name: str, preset: str, stored: Mapping[str, Any]) -> Differences:
    """Differences of the recipe `stored` (as in recipe.json) from the shipped one."""
    try:
        module = member(name)
        shipped = with_preset(module.RECIPE, module.PRESETS, preset)
    except RecipeError:
        return Differences(shipped=False)
    return differences(stored, shipped)


def differences(stored: Mapping[str, Any], shipped: Recipe) -> Differences:
    """Field by field; where one side has no phase and the other has, each field of it counts."""
    ours = flat(json.loads(shipped.model_dump_json()))
    theirs = flat(json.loads(json.dumps(stored)))
    known = set(_names(Recipe))
    return Differences(
        changed={
            name: value
            for name, value in theirs.items()
            if name in known and (name not in ours or ours[name] != value)
        },
        gone=tuple(name for name in theirs if name not in known),
        new=tuple(name for name in ours if name not in theirs and not _absent(name, theirs)),
    )


def flat(recipe: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested fields as one dict with dotted names."""
    fields: dict[str, Any] = {}
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            fields |= flat(value, f"{before}{name}.")
        else:
            fields[before + name] = value
    return fields


def as_setting(value: Any) -> str:
    """A value as `--set` takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def _names(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Dotted names of all fields and parts, also of those that a recipe may do without."""
    for name, at in model.model_fields.items():
        yield before + name
        for part in (at.annotation, *get_args(at.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _names(part, f"{before}{name}.")


def _absent(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a part that holds `name` is None among `fields`."""
    parts = name.split(".")
    return any(fields.get(".".join(parts[:end]), "") is None for end in range(1, len(parts)))
