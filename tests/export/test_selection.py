"""Rows of a view: which, in what order, of which recipe; and conditions, good and bad, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import text

from catalog.errors import QueryError, SettingsError, UnknownNameError
from catalog.export.selection import select_rows
from catalog.export.where_clause import check_expression
from catalog.flags import Flag
from catalog.schema.tables import Run
from catalog.schema.views import view_columns
from catalog.store.door import Store


def names(store: Store, where: str, view: str = "catalog") -> list[str]:
    with store.read() as connection:
        return select_rows(connection, view, "default", where).values["name"].tolist()


def test_values_are_those_of_the_view(store: Store) -> None:
    for view in ("catalog", "detections"):
        with store.read() as connection:
            found = select_rows(connection, view, "srcflux")
            rows = connection.execute(text(f"SELECT * FROM {view} WHERE recipe = 'srcflux'")).mappings().all()
        assert len(found) == len(rows) > 0
        keys = ("ra", "obs_id", "band") if view == "detections" else ("ra",)
        for number, row in enumerate(sorted(rows, key=lambda row: [row[key] for key in keys])):
            for definition in found.definitions:
                cell = found.values[definition.name][number]
                expected = row[definition.name]
                assert (cell is np.ma.masked) == (expected is None), definition.name
                assert expected is None or cell == expected, definition.name


def test_kinds_of_columns(store: Store) -> None:
    kinds = {"float": "f", "int": "i", "bigint": "i", "text": "U", "bool": "b"}
    with store.read() as connection:
        found = select_rows(connection, "detections", "default")
    for definition in found.definitions:
        assert found.values[definition.name].dtype.kind == kinds[definition.kind], definition.name
    assert found.values["flags"].dtype == np.int64
    assert np.isnan(found.values["chipx"].data[found.mask("chipx")]).all()


def test_only_measured_bands_by_default_and_any_when_asked(store: Store) -> None:
    with store.read() as connection:
        found = select_rows(connection, "catalog", "default")
        every = [item.definition.name for item in view_columns("catalog")]
        asked = select_rows(connection, "catalog", "default", columns=["photflux_aper_h", "name"])
    left_out = set(every) - set(found.values)
    assert left_out == {name for name in every if name.endswith(("_m", "_h", "_u", "_w"))}
    assert [d.name for d in found.definitions] == [name for name in every if name not in left_out]
    assert list(asked.values) == ["photflux_aper_h", "name"]
    assert asked.chosen
    assert asked.mask("photflux_aper_h").all()


def test_detections_keep_all_columns(store: Store) -> None:
    with store.read() as connection:
        found = select_rows(connection, "detections", "default")
    assert [d.name for d in found.definitions] == [c.definition.name for c in view_columns("detections")]


def test_order_is_position_observation_band(store: Store) -> None:
    with store.read() as connection:
        found = select_rows(connection, "detections", "default", columns=["name", "obs_id", "band"])
    ra = found.support["ra"].tolist()
    keys = list(zip(ra, found.values["obs_id"].tolist(), found.values["band"].tolist(), strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys) == 16


def test_support_holds_interval_and_flags(store: Store) -> None:
    with store.read() as connection:
        found = select_rows(connection, "catalog", "default", columns=["src_cnts_aper_s"])
    assert {"src_cnts_aper_lolim_s", "src_cnts_aper_hilim_s", "flags_s"} <= set(found.support)
    assert found.bound_only("src_cnts_aper_s").tolist() == [
        name.startswith("CXOU J12") for name in found.support["name"].tolist()
    ]
    assert not found.bound_only("hard_hs").any()


def test_bound_of_one_band_says_nothing_of_another(store: Store) -> None:
    with store.read() as connection:
        found = select_rows(connection, "catalog", "default")
    assert (found.values["flags"].data & int(Flag.BOUND_ONLY)).any()
    assert found.bound_only("src_cnts_aper_s").any()
    assert not found.bound_only("src_cnts_aper_b").any()


def test_runs_and_remark(store: Store) -> None:
    with store.read() as connection:
        found = select_rows(connection, "catalog")
    assert found.recipe == "default"
    assert set(found.values["recipe"].tolist()) == {"default"}
    assert found.metadata["remark"] == "recipe default was taken; there are also srcflux"
    assert found.runs == ("run 1: 2026-01-02T03:04:05, srccat 0.1.0, settings 0123456789ab",)


def test_recipe_without_rows_gives_none(store: Store) -> None:
    with store.read() as connection:
        assert len(select_rows(connection, "catalog", "empty")) == 0


def test_several_recipes_without_default(sqlite_store: Store) -> None:
    writing = sqlite_store.engine.connect().execution_options(srccat_write=True)
    with writing as connection, connection.begin() as transaction:
        connection.execute(text("UPDATE recipe SET recipe = 'mine' WHERE recipe = 'default'"))
        with pytest.raises(SettingsError, match="mine, srcflux") as caught:
            select_rows(connection, "catalog")
        transaction.rollback()
    assert caught.value.code == "RECIPE_NEEDED"


def test_unknown_recipe(store: Store) -> None:
    with (
        store.read() as connection,
        pytest.raises(UnknownNameError, match=r"srcflx.*default, empty, srcflux") as e,
    ):
        select_rows(connection, "catalog", "srcflx")
    assert e.value.code == "UNKNOWN_RECIPE"


def test_empty_database(empty_store: Store) -> None:
    with empty_store.read() as connection:
        found = select_rows(connection, "catalog")
    assert len(found) == 0
    assert found.recipe == ""
    assert "no recipe" in found.metadata["remark"]


def test_unknown_column_names_the_nearest(store: Store) -> None:
    with store.read() as connection, pytest.raises(UnknownNameError, match="photflux_aper_b") as caught:
        select_rows(connection, "catalog", "default", columns=["photflux_aper"])
    assert caught.value.code == "UNKNOWN_COLUMN"
    assert "\n" not in str(caught.value)


def test_no_column_at_all(store: Store) -> None:
    with store.read() as connection, pytest.raises(SettingsError):
        select_rows(connection, "catalog", "default", columns=[])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("cnts_aper_b > 1000", 2),
        ("name LIKE 'CXOU J12%'", 1),
        ("label = 'Sgr A★ {core}'", 1),
        ("label IN ('a;b', ':x', '?', '-12', 'it''s')", 1),
        ("cnts_aper_b IS NULL OR theta_mean > 1e9", 1),
        ("(ra BETWEEN 1 AND 2) OR NOT (dec < 0)", 2),
        ("(flags & 8) <> 0", 1),
        ("\"name\" <> 'x'", 4),
        ("source_id IN (SELECT source_id FROM detections WHERE in_fov)", 3),
        ("CAST(ra AS INTEGER) = 180", 1),
    ],
)
def test_conditions(store: Store, where: str, expected: int) -> None:
    assert len(names(store, where)) == expected


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1; DROP TABLE source",
        "1 = 1) OR (recipe = 'srcflux'",
        "(1 = 1",
        "1 = 1 -- all",
        "1 = 1 /* all */",
        "",
        "  ",
        "ra >",
        "ra > 'x",
        "ra = :ra",
        "ra = ?",
        "ra = $1",
        "ra = @p",
        "name = E'\\''",
        "no_such_function(ra) > 1",
        "ra > 1 ORDER BY ra",
        "ra > 1 UNION SELECT 1",
        "count(*) > 1",
        "1 = 1, 2",
        "name = $$x$$",
    ],
)
def test_bad_conditions(store: Store, where: str) -> None:
    with pytest.raises(QueryError) as caught:
        names(store, where)
    assert caught.value.code == "BAD_WHERE"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "where", ["cnts_aper > 3", '"cnts_aper" > 3', "catalog.cnts_aper > 3", "1 = 1 AND cnts_aper = 2"]
)
def test_unknown_column_in_condition(store: Store, where: str) -> None:
    with pytest.raises(UnknownNameError, match="cnts_aper_b") as caught:
        names(store, where)
    assert caught.value.code == "UNKNOWN_COLUMN"
    assert "\n" not in str(caught.value)


def test_nothing_can_be_written(store: Store) -> None:
    if store.engine.dialect.name == "postgresql":
        with pytest.raises(QueryError, match="read-only"):
            names(store, "nextval('source_id_seq') > 0")
    with store.write() as writer:
        # The refusal ends with the selection: the same pooled connection writes again.
        writer.update(Run, 1, {"state": "done"})
    assert len(names(store, "1 = 1")) == 4


def test_a_lost_table_is_no_fault_of_the_condition(sqlite_store: Store) -> None:
    writing = sqlite_store.engine.connect().execution_options(srccat_write=True)
    with writing as connection, connection.begin() as transaction:
        connection.execute(text("DROP VIEW catalog"))
        with pytest.raises(Exception, match="no such table") as caught:
            select_rows(connection, "catalog", "default")
        transaction.rollback()
    assert not isinstance(caught.value, QueryError)


def test_the_check_itself_lets_a_cast_pass() -> None:
    check_expression("ra::integer = 180 AND name <> 'a--b /* ; '", ["ra", "name"], "catalog")
