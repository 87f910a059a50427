"""All members by name. A new one is a module with RECIPE, PRESETS, STOCK, build, and a line."""

import difflib
from types import ModuleType

from cells.errors import RecipeError
from trainers import convnext_atto, convnext_base, convnext_large, convnext_small, custom_cnn

MEMBERS: dict[str, ModuleType] = {
    "custom-cnn": custom_cnn,
    "convnext-atto": convnext_atto,
    "convnext-small": convnext_small,
    "convnext-base": convnext_base,
    "convnext-large": convnext_large,
}


def member(name: str) -> ModuleType:
    """The module of a member. Raises RecipeError for an unknown name, naming the nearest."""
    if name not in MEMBERS:
        near = difflib.get_close_matches(name, MEMBERS, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RecipeError(f"no member {name!r}; there are {', '.join(MEMBERS)}.{hint}")
    return MEMBERS[name]


def members_with(preset: str) -> list[str]:
    """Names of the members that have a preset. Raises RecipeError when none has it."""
    names = [name for name, module in MEMBERS.items() if preset in module.PRESETS]
    if not names:
        known = sorted({each for module in MEMBERS.values() for each in module.PRESETS})
        raise RecipeError(f"no member has a preset {preset!r}; there are {', '.join(known)}.")
    return names
