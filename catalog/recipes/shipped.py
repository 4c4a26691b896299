"""The recipes that come with the package."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from catalog.recipes.recipe import Recipe, recipe_from_content

DEFAULT = "default"


@cache
def shipped_recipes() -> dict[str, Recipe]:
    """Return the shipped recipes by name."""
    found: dict[str, Recipe] = {}
    entries = files("catalog.recipes").joinpath("presets").iterdir()
    for entry in sorted(entries, key=lambda item: item.name.removesuffix(".toml")):
        if entry.name.endswith(".toml"):
            recipe = recipe_from_content(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name)
            found[recipe.name] = recipe
    return found
