"""Every column of every table and view: registered, with a valid unit, a valid UCD and a comment."""

from __future__ import annotations

import pytest
from astropy import units
from astropy.io.votable.ucd import parse_ucd
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.types import BigInteger, Boolean, Integer, LargeBinary, Text

from catalog.schema.base import LARGEST, FiniteDouble, JsonText, UtcTime
from catalog.schema.column import ColumnDefinition
from catalog.schema.registry import REGISTRY
from catalog.schema.tables import METADATA
from catalog.schema.views import VIEW_NAMES, view_columns

TABLES = list(METADATA.sorted_tables)
TABLE_NAMES = {
    *("run", "input_file", "observation", "event_set", "good_time", "chip", "source", "source_event", "band"),
    *("recipe", "extraction", "region", "measurement", "variability", "light_curve", "spectrum", "response"),
    *("position_estimate", "merge", "merge_member", "merged_measurement", "merged_variability"),
    *("spectral_fit", "spectral_flux", "plugin_value", "review_decision", "work_unit"),
    *("measurement_property", "merged_property", "observation_hardness"),
    *("crowding", "neighbour_light", "user_region"),
}
WITHOUT_NATURAL_KEY = {"run", "source_event", "review_decision"}
"""Logs: two rows may say the same."""
NULL_BY_TABLE = {
    # Of a merge; written before schema 0002.
    *("work_unit.event_set_id", "source_event.source_id"),
}
"""References that say what NULL means in the docstring of their table."""
RESULTS = {"good_time", "chip", "band", "run", "merge_member"}
"""Tables without a run: the run itself, constants, and parts of a row that names its run."""
KINDS = {
    "int": Integer,
    "bigint": BigInteger,
    "float": FiniteDouble,
    "text": Text,
    "bool": Boolean,
    "json": JsonText,
    "binary": LargeBinary,
    "time": UtcTime,
}
DEFINITIONS = list(REGISTRY.values())
POSTGRES_NAME_LIMIT = 63


PROMISED = {
    *("source_id", "name", "ra", "dec", "obs_id", "band", "recipe", "run_id", "flags", "theta", "phi"),
    *("chip_id", "chipx", "chipy", "in_fov", "near_edge", "good_frac", "livetime", "cnts_aper"),
    *("cnts_aperbkg", "area_aper", "area_aperbkg", "exposure_aper", "exposure_aperbkg"),
    *("exposure_area_aper", "exposure_area_aperbkg", "bkg_ratio", "psf_frac_aper", "psf_frac_aperbkg"),
    *("src_cnts_aper", "src_cnts_aper_lolim", "src_cnts_aper_hilim", "src_rate_aper"),
    *("src_rate_aper_lolim", "src_rate_aper_hilim", "photflux_aper", "photflux_aper_lolim"),
    *("photflux_aper_hilim", "flux_aper", "flux_aper_lolim", "flux_aper_hilim", "src_significance"),
    *("snr_gehrels", "flux_significance", "log10_prob_no_source", "photflux_limit", "var_index"),
    *("var_prob", "gl_log10_odds", "ks_prob", "kp_prob", "ks_log10_pvalue", "kp_log10_pvalue"),
}
"""Columns of `detections` that outsiders rely on."""


def by_name(item: Table | ColumnDefinition) -> str:
    return item.name


def test_all_tables_of_the_design_are_there() -> None:
    assert set(METADATA.tables) == TABLE_NAMES


@pytest.mark.parametrize("table", TABLES, ids=by_name)
def test_columns_are_registered(table: Table) -> None:
    assert table.comment
    for column in table.columns:
        definition = REGISTRY[column.name]
        assert column.comment is not None, column
        assert column.comment.startswith(definition.description), column
        if definition.unit:
            assert column.comment.endswith(f"[{definition.unit}]"), column
        assert isinstance(column.type, KINDS[definition.kind]), column
        assert isinstance(column.type, BigInteger) == (definition.kind == "bigint"), column
        if column.nullable:
            assert definition.null or str(column) in NULL_BY_TABLE, f"what does NULL mean in {column}?"


@pytest.mark.parametrize("definition", DEFINITIONS, ids=by_name)
def test_unit_ucd_and_words(definition: ColumnDefinition) -> None:
    assert definition.name == definition.name.lower()
    assert definition.name.isidentifier()
    assert len(definition.name) < POSTGRES_NAME_LIMIT
    assert definition.description.strip() == definition.description != ""
    assert not definition.description.endswith(".") or definition.description.endswith(", ...")
    assert "\n" not in definition.description
    if definition.unit:
        unit = units.Unit(definition.unit, format="fits")
        assert units.Unit(unit.to_string("fits"), format="fits") == unit
    words = parse_ucd(definition.ucd, check_controlled_vocabulary=True, has_colon=False)
    assert words
    if definition.kind != "float":
        assert definition.digits is None
    else:
        assert definition.digits is not None


def test_no_column_is_registered_for_nothing() -> None:
    used = {column.name for table in TABLES for column in table.columns}
    assert set(REGISTRY) - used == set()


@pytest.mark.parametrize("view", VIEW_NAMES)
def test_view_columns_are_registered(view: str) -> None:
    columns = view_columns(view)
    names = [column.definition.name for column in columns]
    assert len(set(names)) == len(names)
    # By case too: b_ and B_ are the ends of an interval.
    labels = [column.definition.label for column in columns]
    assert len(set(labels)) == len(labels)
    for column in columns:
        name = column.definition.name
        base = REGISTRY.get(name) or REGISTRY[name.rpartition("_")[0]]
        assert (column.definition.unit, column.definition.ucd) == (base.unit, base.ucd)
        assert column.definition.kind == base.kind
        assert len(name) < POSTGRES_NAME_LIMIT


def test_the_promised_columns_of_detections() -> None:
    assert {column.definition.name for column in view_columns("detections")} >= PROMISED


def test_the_promised_columns_of_catalog() -> None:
    names = {column.definition.name for column in view_columns("catalog")}
    assert {"n_obs", "livetime", "theta_min", "theta_mean", "hard_hm", "hard_ms", "hard_hs", "flags"} <= names
    for suffix in "bsmhuw":
        for name in (
            *("cnts_aper", "photflux_aper", "photflux_aper_lolim", "photflux_aper_hilim", "flux_aper"),
            *("var_intra_index", "var_intra_prob", "var_inter_index", "var_inter_prob"),
        ):
            assert f"{name}_{suffix}" in names


@pytest.mark.parametrize("table", TABLES, ids=by_name)
def test_each_float_refuses_what_is_not_finite(table: Table) -> None:
    checks = {
        str(item.name): str(item.sqltext) for item in table.constraints if isinstance(item, CheckConstraint)
    }
    for column in table.columns:
        if isinstance(column.type, FiniteDouble):
            rule = checks[f"ck_{table.name}_{column.name}_finite"]
            assert rule == f"{column.name} BETWEEN -{LARGEST} AND {LARGEST}"
        else:
            assert column.type.__class__.__name__ not in ("Float", "Double", "Numeric", "REAL"), column
    assert float(LARGEST) == float.fromhex("0x1.fffffffffffffp+1023")


@pytest.mark.parametrize("table", TABLES, ids=by_name)
def test_everything_is_named_within_the_limit(table: Table) -> None:
    names = [item.name for item in (*table.constraints, *table.indexes)]
    assert all(isinstance(name, str) for name in names)
    assert len(set(names)) == len(names)
    for name in names:
        assert len(str(name)) < POSTGRES_NAME_LIMIT, name
        assert table.name in str(name)


def test_names_are_unique_in_the_database() -> None:
    # Indexes, and the constraints that make one, share one name space on both engines.
    names = [str(index.name) for table in TABLES for index in table.indexes]
    names += [
        str(item.name)
        for table in TABLES
        for item in table.constraints
        if isinstance(item, UniqueConstraint) or item is table.primary_key
    ]
    names += [*METADATA.tables, *VIEW_NAMES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("table", TABLES, ids=by_name)
def test_a_natural_key_besides_the_number(table: Table) -> None:
    assert [column.name for column in table.primary_key.columns] == ["id"]
    unique = [item for item in table.constraints if isinstance(item, UniqueConstraint)]
    if table.name in WITHOUT_NATURAL_KEY:
        assert unique == []
        return
    assert len(unique) == 1
    # A NULL in a key would let the same row in twice.
    assert not any(column.nullable for column in unique[0].columns)
    assert "id" not in unique[0].columns


@pytest.mark.parametrize("table", TABLES, ids=by_name)
def test_references_are_indexed_and_say_what_deletion_does(table: Table) -> None:
    indexed = {tuple(column.name for column in index.columns) for index in table.indexes}
    uniques = [item for item in table.constraints if isinstance(item, UniqueConstraint)]
    begun = {(next(iter(item.columns)).name,) for item in uniques}
    # One index is enough, and runs are not asked for by what they wrote.
    assert not indexed & begun
    found = indexed | begun | {("run_id",)}
    keys = [item for item in table.constraints if isinstance(item, ForeignKeyConstraint)]
    for item in keys:
        assert item.ondelete in ("CASCADE", "RESTRICT"), item.name
        assert tuple(item.column_keys) in found, item.name
    references = {item.referred_table.name: item.ondelete for item in keys}
    if table.name not in RESULTS:
        assert references["run"] == "RESTRICT"
