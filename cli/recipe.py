"""`srccat recipe`: list, show, diff, add."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import ProjectOption
from cli.output import print_table, say

if TYPE_CHECKING:
    from catalog.recipes.recipe import Recipe

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the recipe.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List, show, compare and add recipes.", no_args_is_help=True)
    group.command("list")(list_recipes)
    group.command("show")(show)
    group.command("diff")(diff)
    group.command("add")(add)
    app.add_typer(group, name="recipe")


def _known(project: Path | None) -> tuple[dict[str, Recipe], set[str]]:
    """Shipped recipes and those of the project, and the names of the latter; no project is no error."""
    from catalog.config import SETTINGS_FILE, project_dir
    from catalog.recipes.shipped import shipped_recipes
    from catalog.stages.base.project import open_project
    from catalog.stages.base.recipe_store import stored_recipes

    recipes = dict(shipped_recipes())
    stored: set[str] = set()
    folder = project_dir(project)
    if project is not None or (folder / SETTINGS_FILE).exists():
        with open_project(folder, read_only=True) as opened, opened.store.read() as connection:
            for item in stored_recipes(connection):
                recipes[item.recipe.name] = item.recipe
                stored.add(item.recipe.name)
    return recipes, stored


def _choose(recipes: dict[str, Recipe], name: str) -> Recipe:
    from catalog.stages.base.recipe_store import unknown_recipe

    if name not in recipes:
        raise unknown_recipe(name, sorted(recipes))
    return recipes[name]


def list_recipes(project: ProjectOption = None) -> None:
    """List the recipes that are shipped or stored in the project.

    Example: srccat recipe list
    """
    recipes, stored = _known(project)
    print_table(
        ("name", "in project", "bands", "description"),
        (
            (
                name,
                "yes" if name in stored else "no",
                " ".join(band.name for band in item.energy_bands),
                item.description,
            )
            for name, item in sorted(recipes.items())
        ),
    )


def show(name: Name, project: ProjectOption = None) -> None:
    """Print a recipe with all its choices.

    Example: srccat recipe show default
    """
    recipes, _ = _known(project)
    chosen = _choose(recipes, name)
    say(f'name = "{chosen.name}"')
    for line in _lines(chosen):
        say(line)
    say(f"# sha256 {chosen.content_hash}")


def _lines(recipe: Recipe) -> list[str]:
    import json

    def line(name: str, value: object) -> str:
        # TOML has no word for a choice that is not made.
        return f"# {name}: not set" if value is None else f"{name} = {json.dumps(value)}"

    content = recipe.content()
    plain = [line(key, value) for key, value in content.items() if not isinstance(value, dict)]
    for key, value in content.items():
        if isinstance(value, dict):
            plain += ["", f"[{key}]", *(line(name, item) for name, item in value.items())]
    return plain


def _flat(recipe: Recipe) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in recipe.content().items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            flat[key] = value
    return flat


def diff(first: Name, second: Name, project: ProjectOption = None) -> None:
    """Show where two recipes differ.

    Example: srccat recipe diff default srcflux
    """
    recipes, _ = _known(project)
    left, right = _flat(_choose(recipes, first)), _flat(_choose(recipes, second))
    rows = [(key, left[key], right[key]) for key in left if left[key] != right[key]]
    if rows:
        print_table(("choice", first, second), rows)
    else:
        say("no difference")


def add(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help='A recipe in TOML (may say inherits = "default"), or a shipped name.'
        ),
    ],
    project: ProjectOption = None,
) -> None:
    """Store a recipe, of a file or shipped; the next run computes it.

    Example: srccat recipe add srcflux
    """
    from catalog.config import project_dir
    from catalog.recipes.recipe import read_recipe
    from catalog.recipes.shipped import shipped_recipes
    from catalog.stages.base.project import open_project
    from catalog.stages.base.recipe_store import store_recipe

    recipes, _ = _known(project)
    shipped = shipped_recipes()
    chosen = shipped[str(file)] if str(file) in shipped and not file.exists() else read_recipe(file, recipes)
    with open_project(project_dir(project)) as opened:
        store_recipe(opened.store, opened.frozen_settings(), chosen)
    say(f"recipe {chosen.name} stored; `srccat run` computes it")
