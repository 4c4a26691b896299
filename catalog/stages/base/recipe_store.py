"""Recipes in the database: frozen with their hash, bands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from catalog.band import Band
from catalog.errors import SettingsError, UnknownNameError
from catalog.recipes.recipe import Recipe, recipe_from_content
from catalog.recipes.shipped import shipped_recipes
from catalog.schema.tables import BandRow
from catalog.schema.tables import Recipe as RecipeRow
from catalog.store.door import Store, Writer
from catalog.store.runs import begin_run, finish


@dataclass(frozen=True)
class StoredRecipe:
    """A recipe of the database with its row number."""

    id: int
    recipe: Recipe


def choose_shipped(names: Sequence[str]) -> list[Recipe]:
    """Return shipped recipes by name.

    Raises
    ------
    UnknownNameError
        For a name that is not shipped; the message lists those that are.
    """
    shipped = shipped_recipes()
    for name in names:
        if name not in shipped:
            raise unknown_recipe(name, sorted(shipped))
    return [shipped[name] for name in dict.fromkeys(names)]


def unknown_recipe(name: str, known: Sequence[str]) -> UnknownNameError:
    """Return the error for a recipe that is not there."""
    todo = f"choose one of {', '.join(known)}" if known else "add one with `srccat recipe add FILE`"
    return UnknownNameError("unknown recipe", name, todo, code="UNKNOWN_RECIPE")


def add_recipe(writer: Writer, run_id: int, recipe: Recipe) -> None:
    """Store a recipe and its bands; a recipe of that name is replaced.

    Raises
    ------
    SettingsError
        A band of that name has other limits in this database.
    """
    bands = recipe.energy_bands
    check_bands(writer.connection, bands)
    writer.ensure(
        BandRow,
        [{"band": band.name, "lo": band.lo, "hi": band.hi, "eff": band.eff} for band in bands],
        key=["band"],
    )
    content = {"description": recipe.description, **recipe.content()}
    row = {"run_id": run_id, "recipe": recipe.name, "content": content, "content_hash": recipe.content_hash}
    writer.upsert(RecipeRow, [row], key=["recipe"])


def store_recipe(store: Store, settings: dict[str, Any], recipe: Recipe) -> None:
    """Store a recipe as a run of its own.

    Raises
    ------
    SettingsError
        Another recipe under the name of a shipped one: the name would promise what it does not do.
    """
    shipped = shipped_recipes().get(recipe.name)
    if shipped is not None and shipped.content_hash != recipe.content_hash:
        raise SettingsError(
            "the name of a shipped recipe keeps its choices", recipe.name, "choose another name in the file"
        )
    with store.write() as writer:
        run_id = begin_run(writer, "recipe add", settings, [])
        add_recipe(writer, run_id, recipe)
        finish(writer, run_id, "done", {})


def check_bands(connection: Connection, bands: Sequence[Band]) -> None:
    """Refuse a band whose name stands for other limits in the database."""
    known = {
        row.band: (row.lo, row.hi, row.eff)
        for row in connection.execute(select(BandRow.band, BandRow.lo, BandRow.hi, BandRow.eff))
    }
    for band in bands:
        if band.name in known and known[band.name] != (band.lo, band.hi, band.eff):
            raise SettingsError(
                "a band of this name has other limits in this catalog", band.name, "choose another band name"
            )


def stored_recipes(connection: Connection, names: Sequence[str] = ()) -> list[StoredRecipe]:
    """Return the recipes of the database, all or those named, in the order of their names.

    Raises
    ------
    UnknownNameError
        For a name that the database does not have.
    """
    rows = connection.execute(
        select(RecipeRow.id, RecipeRow.recipe, RecipeRow.content).order_by(RecipeRow.recipe)
    )
    found = {
        row.recipe: StoredRecipe(row.id, recipe_from_content({"name": row.recipe, **row.content}, row.recipe))
        for row in rows
    }
    for name in names:
        if name in found:
            continue
        if name in shipped_recipes():
            todo = f"store it with `srccat recipe add {name}`"
            raise UnknownNameError("no such recipe in the project", name, todo, code="UNKNOWN_RECIPE")
        raise unknown_recipe(name, list(found))
    return [found[name] for name in (dict.fromkeys(names) if names else found)]


def band_ids(connection: Connection) -> dict[str, int]:
    """Row numbers of the bands by name."""
    return {row.band: row.id for row in connection.execute(select(BandRow.id, BandRow.band))}
