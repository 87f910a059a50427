"""docs/techniques.md: every field exists, every test exists, no augmentation is left out."""

import ast
import re
from pathlib import Path

import pytest

from cells.policy import Policy
from trainers.recipe import HeadPhase, Phase, Recipe, overridden

PHASE = Phase(epochs=1, peak_lr=1)
RECIPE = Recipe(name="toy", head=HeadPhase(epochs=1, peak_lr=1), whole=PHASE)


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "docs" / "techniques.md").read_text()


def rows(text: str) -> list[list[str]]:
    """technique, field, what it does, test: the rows of the tables."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "technique"]


def fields_and_tests(text: str) -> tuple[list[str], list[str]]:
    table = rows(text)
    assert {len(row) for row in table} == {4}
    fields = [name for row in table for name in re.findall(r"`([\w.]+)(?:=\w+)?`", row[1])]
    return [name for name in fields if name != "rate"], re.findall(r"`([\w/]+\.py::\w+)`", text)


def test_every_field_in_the_table_is_one_of_the_recipe(text):
    for field in fields_and_tests(text)[0]:
        here = RECIPE.model_dump()
        for part in field.split("."):
            assert part in here, field
            here = here[part]


def test_every_field_is_in_the_table(text):
    named = set(fields_and_tests(text)[0])
    assert {f"policy.{field}" for field in Policy.model_fields} <= named
    assert {f"whole.{field}" for field in Phase.model_fields} <= named
    assert set(Recipe.model_fields) - {"name", "policy", "whole"} <= named


def test_every_row_names_a_test_that_exists(text, repository):
    assert all("::" in row[3] for row in rows(text))
    for name in fields_and_tests(text)[1]:
        path, function = name.split("::")
        tree = ast.parse((repository / "tests" / path).read_text())
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in found, name


@pytest.mark.parametrize("name", Policy.model_fields)
def test_every_field_of_the_policy_can_be_set(name):
    value = 3 if name == "rand_augment_ops" else 0.25
    path = f"policy.{name}" + (".rate" if hasattr(getattr(RECIPE.policy, name), "rate") else "")
    here = overridden(RECIPE, [f"{path}={value}"]).model_dump()
    for part in path.split("."):
        here = here[part]
    assert here == value
