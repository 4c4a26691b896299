"""The write door, on both engines: what gets in, what stays out, and who waits for whom."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import CheckConstraint, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import DeclarativeBase, Session

from catalog.errors import ProjectError
from catalog.schema.base import FiniteDouble
from catalog.schema.tables import (
    METADATA,
    BandRow,
    Extraction,
    Measurement,
    Merge,
    MergeMember,
    Run,
    Source,
)
from catalog.store import bulk
from catalog.store import engine as engine_module
from catalog.store.door import Store
from catalog.store.engine import database_url, is_writable, open_engine

ROOT = Path(__file__).parents[2]
BAND = {"band": "one", "lo": 1.0, "hi": 2.0, "eff": 1.5}
Row = dict[str, Any]


def band(name: str, **values: Any) -> Row:
    return BAND | {"band": name} | values


def bands(store: Store) -> list[Row]:
    with store.read() as connection:
        rows = connection.execute(
            select(BandRow.band, BandRow.lo, BandRow.hi, BandRow.eff).order_by(BandRow.band)
        )
        return [dict(row._mapping) for row in rows]


# --- insert, ensure, upsert, update, delete ---------------------------------------------------------------


def test_insert_returns_ids_in_the_order_of_the_rows(store: Store) -> None:
    names = [f"b{number:04d}" for number in np.random.default_rng(3).permutation(2500)]
    with store.write() as writer:
        ids = writer.insert(BandRow, [band(name) for name in names])
    with store.read() as connection:
        stored = {row.id: row.band for row in connection.execute(select(BandRow.id, BandRow.band))}
    assert [stored[row_id] for row_id in ids] == names


def test_every_table_gives_back_what_was_written(
    store: Store, row: Callable[..., Row], all_models: dict[str, type[DeclarativeBase]]
) -> None:
    ids: dict[str, int] = {}
    for name, model in all_models.items():
        written = row(model, ids)
        with store.write() as writer:
            ids[name] = writer.insert(model, [written])[0]
        with store.read() as connection:
            columns = [column for column in model.__table__.columns if column.name != "id"]
            stored = dict(connection.execute(select(*columns)).one()._mapping)
        assert stored == written, name
        assert {key: type(value) for key, value in stored.items()} == {
            key: type(value) for key, value in written.items()
        }


def test_insert_of_a_known_key_fails_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(IntegrityError), store.write() as writer:
        writer.insert(BandRow, [band("a"), band("b"), band("a")])
    assert bands(store) == []


def test_ensure_leaves_known_rows_as_they_are(store: Store) -> None:
    with store.write() as writer:
        assert writer.ensure(BandRow, [band("a"), band("b")], ["band"]) == 2
        assert writer.ensure(BandRow, [band("b", lo=0.1), band("c"), band("a", lo=0.1)], ["band"]) == 1
    assert bands(store) == [band("a"), band("b"), band("c")]


def test_upsert_replaces_given_values_and_keeps_the_id(store: Store) -> None:
    with store.write() as writer:
        (first,) = writer.insert(BandRow, [band("a")])
        writer.upsert(BandRow, [band("a", lo=0.25), band("z")], ["band"])
    assert bands(store) == [band("a", lo=0.25), band("z")]
    with store.read() as connection:
        assert connection.scalar(select(BandRow.id).where(BandRow.band == "a")) == first


def test_upsert_keeps_what_hangs_on_the_row(store: Store, ids: dict[str, int]) -> None:
    key = ["source_id", "recipe_id", "purpose"]
    with store.write() as writer:
        values = {
            "run_id": ids["run"],
            "source_id": ids["source"],
            "recipe_id": ids["recipe"],
            "purpose": "photometry",
            "flags": 7,
            "n_obs": 9,
        }
        writer.upsert(Merge, [values], key)
    with store.read() as connection:
        assert connection.execute(select(Merge.id, Merge.flags, Merge.n_obs)).one() == (ids["merge"], 7, 9)
        assert connection.scalar(select(func.count()).select_from(MergeMember)) == 1


def test_update_changes_one_row(store: Store) -> None:
    with store.write() as writer:
        _, second = writer.insert(BandRow, [band("a"), band("b")])
        writer.update(BandRow, second, {"lo": 0.5, "hi": 8.0})
    assert bands(store) == [band("a"), band("b", lo=0.5, hi=8.0)]


def test_delete_tells_how_many(store: Store) -> None:
    with store.write() as writer:
        writer.insert(BandRow, [band("a"), band("b"), band("c")])
        assert writer.delete(BandRow, BandRow.band != "b") == 2
        assert writer.delete(BandRow, BandRow.band == "x") == 0
    assert bands(store) == [band("b")]


def test_no_rows_is_no_work(store: Store) -> None:
    with store.write() as writer:
        assert writer.insert(BandRow, []) == []
        assert writer.ensure(BandRow, [], ["band"]) == 0
        writer.upsert(BandRow, [], ["band"])
    assert bands(store) == []


def test_an_error_in_the_block_takes_everything_back(store: Store) -> None:
    with store.write() as writer:
        writer.insert(BandRow, [band("kept")])

    def fail_late() -> None:
        with store.write() as writer:
            writer.insert(BandRow, [band("a")])
            writer.ensure(BandRow, [band("b")], ["band"])
            writer.upsert(BandRow, [band("kept", lo=0.0)], ["band"])
            writer.delete(BandRow, BandRow.band == "kept")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail_late()
    assert bands(store) == [band("kept")]
    with store.write() as writer:
        writer.insert(BandRow, [band("after")])
    assert [item["band"] for item in bands(store)] == ["after", "kept"]


@pytest.mark.parametrize("action", ["insert", "ensure", "upsert"])
def test_rows_with_different_columns_are_refused(store: Store, action: str) -> None:
    rows = [{"band": "a", "lo": 1.0, "hi": 2.0, "eff": 1.5}, band("b") | {"extra": math.nan}]
    short = [band("a"), {name: value for name, value in band("b").items() if name != "eff"}]
    key = () if action == "insert" else (["band"],)
    for wrong in (rows, short):
        with pytest.raises(ValueError, match=r"band with different columns: e"), store.write() as writer:
            getattr(writer, action)(BandRow, wrong, *key)
    assert bands(store) == []


@pytest.mark.parametrize("piece", [1, 2, 200])
def test_the_order_of_columns_in_a_row_does_not_matter(
    store: Store, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_PIECE", piece)
    rows = [band(name) for name in "abc"]
    rows[1] = dict(reversed(rows[1].items()))
    with store.write() as writer:
        writer.insert(BandRow, rows)
        changed = [{"eff": 1.25, "id": number, "lo": 0.125} for number in (1, 3)]
        changed[1] = dict(reversed(changed[1].items()))
        writer.update_many(BandRow, changed)
    new = {"eff": 1.25, "lo": 0.125}
    assert bands(store) == [band("a", **new), band("b"), band("c", **new)]


def test_numbers_that_another_writer_took_are_not_given(postgres_store: Store) -> None:
    with postgres_store.write() as writer:
        writer.insert(BandRow, [band("a")])
        # As if somebody took every second one.
        writer.connection.execute(text("ALTER SEQUENCE band_id_seq INCREMENT 2"))
        ids = writer.insert(BandRow, [band("b"), band("c"), band("d")])
        assert ids == sorted(set(ids))
        assert ids[1] - ids[0] == 2
        stored = writer.connection.scalars(select(BandRow.id).order_by(BandRow.band)).all()
        assert stored[1:] == ids


def test_numpy_scalars_are_stored_as_numbers(store: Store, ids: dict[str, int]) -> None:
    with store.write() as writer:
        for kind in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64):
            values = {"cnts_aper": kind(100), "src_significance": np.float64(1.5)}
            writer.update(Measurement, int(ids["measurement"]), values)
            stored = writer.connection.execute(
                text("SELECT cnts_aper, cnts_aper + 1, src_significance FROM measurement")
            ).one()
            assert tuple(stored) == (100, 101, 1.5), kind
        writer.update(Extraction, ids["extraction"], {"in_fov": np.False_, "theta": np.float32(0.5)})
    with store.read() as connection:
        found = connection.execute(select(Extraction.in_fov, Extraction.theta)).one()
        assert tuple(found) == (False, 0.5)
        assert connection.scalar(select(Source.id).where(Source.id == np.int64(ids["source"]))) is not None


def test_the_extremes_of_each_type_come_back(store: Store, ids: dict[str, int]) -> None:
    largest, smallest = sys.float_info.max, 5e-324
    with store.write() as writer:
        writer.update(Run, ids["run"], {"seed": 2**63 - 1})
        writer.update(Source, ids["source"], {"origin_hpx29": 12 * 4**29 - 1})
        for value in (largest, -largest, smallest, 0.1 + 0.2, 1 / 3):
            writer.update(Measurement, ids["measurement"], {"src_significance": value})
            assert writer.connection.scalar(select(Measurement.src_significance)) == value
        assert writer.connection.scalar(select(Run.seed)) == 2**63 - 1
        assert writer.connection.scalar(select(Source.origin_hpx29)) == 12 * 4**29 - 1


def test_times_keep_their_microseconds_and_zone(store: Store, ids: dict[str, int]) -> None:
    moment = datetime(1999, 7, 23, 4, 31, 0, 1, tzinfo=UTC)
    with store.write() as writer:
        writer.update(Run, ids["run"], {"started_at": moment})
    with store.read() as connection:
        assert connection.scalar(select(Run.started_at)) == moment
        assert connection.scalar(text("SELECT started_at FROM run")) == "1999-07-23T04:31:00.000001+00:00"


# --- NaN and infinity -------------------------------------------------------------------------------------

NOT_FINITE = [math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf")]
FLOAT_COLUMNS = [
    (table.name, column.name)
    for table in METADATA.sorted_tables
    for column in table.columns
    if isinstance(column.type, FiniteDouble)
]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_the_door_refuses_what_is_not_finite(store: Store, value: float) -> None:
    wrong = [band("a"), band("b", eff=value)]
    with store.write() as writer:
        (good,) = writer.insert(BandRow, [band("g")])
        for action in (
            lambda: writer.insert(BandRow, wrong),
            lambda: writer.ensure(BandRow, wrong, ["band"]),
            lambda: writer.upsert(BandRow, wrong, ["band"]),
            lambda: writer.update(BandRow, good, {"eff": value}),
        ):
            with pytest.raises(ValueError, match=r"NaN or infinity in band\.eff"):
                action()
    assert bands(store) == [band("g")]


def test_rows_before_the_refused_one_are_taken_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_PIECE", 2)
    wrong = [band(name) for name in "abcde"] + [band("f", eff=math.nan)]
    unlike = [*wrong[:5], {"band": "f"}]
    with store.write() as writer:
        writer.insert(BandRow, [band("g")])
        for rows, what in ((wrong, "NaN or infinity"), (unlike, "different columns")):
            for action, key in (
                (writer.insert, ()),
                (writer.ensure, (["band"],)),
                (writer.upsert, (["band"],)),
            ):
                with pytest.raises(ValueError, match=what):
                    action(BandRow, rows, *key)
                assert writer.connection.scalar(select(func.count()).select_from(BandRow)) == 1
        writer.insert(BandRow, [band("h")])
    assert bands(store) == [band("g"), band("h")]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_the_type_refuses_it_behind_the_door(store: Store, value: float) -> None:
    with store.write() as writer:
        with pytest.raises((StatementError, ValueError), match="NaN and infinity are not stored"):
            writer.connection.execute(BandRow.__table__.insert(), [band("a", lo=value)])
        with Session(writer.connection) as session:
            session.add(BandRow(**band("a", hi=value)))
            with pytest.raises((StatementError, ValueError), match="NaN and infinity are not stored"):
                session.flush()


def test_json_refuses_nan(store: Store, ids: dict[str, int]) -> None:
    with pytest.raises((StatementError, ValueError), match="JSON"), store.write() as writer:
        writer.update(Run, ids["run"], {"settings": {"a": math.nan}})


def refused(store: Store, statement: str) -> str:
    """Return what the database says against a raw statement, empty when it lets it pass."""
    with store.write() as writer:
        inner = writer.connection.begin_nested()
        try:
            writer.connection.exec_driver_sql(statement)
        except IntegrityError as error:
            return str(error.orig)
        finally:
            inner.rollback()
    return ""


def test_the_database_refuses_it_in_raw_sql(store: Store, ids: dict[str, int]) -> None:
    # SQLite itself turns NaN into NULL; an overflowing literal is its way to infinity.
    bad = {
        "sqlite": ("9e999", "-9e999"),
        "postgresql": ("'NaN'::float8", "'Infinity'::float8", "'-Infinity'::float8"),
    }[store.engine.dialect.name]
    assert len(FLOAT_COLUMNS) > 80
    for table, name in FLOAT_COLUMNS:
        for value in bad:
            report = refused(store, f"UPDATE {table} SET {name} = {value}")
            assert f"ck_{table}_" in report, (table, name, value, report)


# --- CHECK constraints ------------------------------------------------------------------------------------

VIOLATIONS: dict[str, list[str]] = {
    "ck_source_position": ["ra = 360", "ra = -1e-9", "dec = 90.001", "dec = -90.001"],
    "ck_good_time_order": ["gti_stop = gti_start", "gti_stop = gti_start - 1"],
    "ck_band_limits": ["lo = -0.1", "lo = 8", "eff = 0.1", "eff = 9", "hi = lo"],
    "ck_variability_var_index": ["var_index = 11", "var_index = -1"],
    "ck_variability_var_index_net": ["var_index_net = 11", "var_index_net = -1"],
    "ck_variability_bkg_var_index": ["bkg_var_index = 11", "bkg_var_index = -1"],
    "ck_merged_variability_var_intra_index": ["var_intra_index = 11", "var_intra_index = -1"],
    "ck_merged_variability_var_inter_index": ["var_inter_index = 11", "var_inter_index = -1"],
    "ck_measurement_log10_prob_no_source_negative": ["log10_prob_no_source = 0.001"],
    "ck_merged_measurement_log10_prob_no_source_negative": ["log10_prob_no_source = 0.001"],
}


def checks() -> Iterator[tuple[str, str, str]]:
    for table in METADATA.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint):
                assert isinstance(constraint.name, str)
                yield table.name, str(constraint.name), str(constraint.sqltext)


def violations(table: str, name: str, rule: str) -> list[str]:
    """Assignments that break a CHECK and no other; a new kind of CHECK must be added here."""
    if name in VIOLATIONS:
        return VIOLATIONS[name]
    if one_of := re.fullmatch(r"(\w+) IN \(.*\)", rule):
        return [f"{one_of[1]} = 'none of these'"]
    column, _, kind = name.removeprefix(f"ck_{table}_").rpartition("_")
    if kind == "order":
        low, high = f"{column}_lolim", f"{column}_hilim"
        return [
            f"{low} = 2, {column} = 1, {high} = 3",
            f"{low} = 1, {column} = 3, {high} = 2",
            f"{low} = -1, {column} = 1, {high} = 2",
            f"{low} = NULL, {column} = 3, {high} = 2",
            f"{low} = 2, {column} = 1, {high} = NULL",
        ]
    return {
        "positive": [f"{column} = -1"],
        "fraction": [f"{column} = 1.0001", f"{column} = -0.0001"],
        "finite": [f"{column} = 9e999"],
    }[kind]


def test_each_check_fires(store: Store, ids: dict[str, int]) -> None:
    postgres = store.engine.dialect.name == "postgresql"
    found = list(checks())
    assert len(found) > 150
    for table, name, rule in found:
        for assignment in violations(table, name, rule):
            value = assignment.replace("9e999", "'Infinity'::float8") if postgres else assignment
            report = refused(store, f"UPDATE {table} SET {value}")
            # An infinite value may break a narrower CHECK first.
            expected = f"ck_{table}_" if name.endswith("_finite") else name
            assert expected in report, (table, assignment, report)


def test_the_edges_of_the_checks_are_allowed(store: Store, ids: dict[str, int]) -> None:
    for table, assignment in (
        ("measurement", "photflux_aper_lolim = 0, photflux_aper = 0, photflux_aper_hilim = 0"),
        ("measurement", "photflux_aper_lolim = NULL, photflux_aper = NULL, photflux_aper_hilim = NULL"),
        ("measurement", "cnts_aper = 0, cnts_aperbkg = 0, psf_frac_aper = 0, psf_frac_aperbkg = 1"),
        ("measurement", "log10_prob_no_source = 0, fluence_aper = -1, flux_conversion = -1"),
        ("merge", "n_obs = 0, hard_hm = -1, hard_hm_lolim = -1"),
        ("source", "ra = 0, dec = -90"),
        ("source", "ra = 359.9999999999, dec = 90"),
        ("variability", "var_index = 10"),
    ):
        assert refused(store, f"UPDATE {table} SET {assignment}") == ""


# --- references and cascades ------------------------------------------------------------------------------


def test_references_are_enforced(store: Store, ids: dict[str, int]) -> None:
    for table in METADATA.sorted_tables:
        for key in table.foreign_key_constraints:
            name = key.column_keys[0]
            assert refused(store, f"UPDATE {table.name} SET {name} = 999999"), (table.name, name)


OUTLIVES_A_SOURCE = {
    "run",
    "input_file",
    "recipe",
    "band",
    "observation",
    "event_set",
    "good_time",
    "chip",
    "response",
    "source_event",
}
HANGS_ON_SOURCE = set(METADATA.tables) - OUTLIVES_A_SOURCE - {"source"}


def row_counts(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in METADATA.sorted_tables
        }


def test_deleting_a_source_removes_what_hangs_on_it_and_nothing_else(
    store: Store, ids: dict[str, int], row: Callable[..., Row]
) -> None:
    with store.write() as writer:
        other = row(Source, ids, origin_hpx29=2)
        (kept,) = writer.insert(Source, [other])
        writer.insert(Extraction, [row(Extraction, ids | {"source": kept})])
        assert writer.delete(Source, Source.id == ids["source"]) == 1
    counts = row_counts(store)
    assert {name for name, number in counts.items() if number == 0} == HANGS_ON_SOURCE - {"extraction"}
    assert counts["source"] == counts["extraction"] == 1
    with store.read() as connection:
        assert connection.scalar(select(Extraction.source_id)) == kept


@pytest.mark.parametrize("name", ["run", "band", "input_file", "response"])
def test_what_results_rest_on_cannot_be_deleted(store: Store, ids: dict[str, int], name: str) -> None:
    table = METADATA.tables[name]
    with pytest.raises(IntegrityError), store.write() as writer:
        writer.connection.execute(table.delete().where(table.c.id == ids[name]))
    assert all(number == 1 for number in row_counts(store).values())


def test_the_history_of_a_source_outlives_it(store: Store, ids: dict[str, int]) -> None:
    with store.write() as writer:
        writer.delete(Source, Source.id == ids["source"])
    assert row_counts(store)["source_event"] == 1


# --- several at once --------------------------------------------------------------------------------------


def opened_again(store: Store, *, read_only: bool = False) -> Store:
    url = database_url(store.engine.url.render_as_string(hide_password=False), Path("/"))
    return Store(open_engine(url, read_only=read_only), read_only=read_only)


def read_then_write(store: Store, prefix: str, times: int) -> None:
    for number in range(times):
        with store.write() as writer:
            # Reading first is what makes a plain BEGIN fail at once when another one wrote in between.
            seen = writer.connection.scalar(select(func.count()).select_from(BandRow)) or 0
            writer.insert(BandRow, [band(f"{prefix}-{number}", eff=1.0 + seen * 1e-6)])


def test_writers_queue(store: Store) -> None:
    def work(number: int) -> None:
        with opened_again(store) as own:
            read_then_write(own, f"w{number}", 25)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, number) for number in range(4)]:
            done.result()
    rows = bands(store)
    assert len(rows) == 100
    if store.engine.dialect.name == "sqlite":
        # Each saw all that was written before it: no two transactions ran at the same time.
        assert len({item["eff"] for item in rows}) == 100


def test_writers_of_two_processes_queue(store: Store) -> None:
    code = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_door import read_then_write
from catalog.store.door import Store
from catalog.store.engine import database_url, open_engine
with Store(open_engine(database_url(sys.argv[1], Path("/")))) as store:
    read_then_write(store, sys.argv[2], 40)
"""
    url = store.engine.url.render_as_string(hide_password=False)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, name, str(Path(__file__).parent)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    reports = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], reports
    assert len(bands(store)) == 80


def test_reading_while_another_writes(store: Store) -> None:
    with opened_again(store) as other, store.write() as writer:
        writer.insert(BandRow, [band("a")])
        assert bands(other) == []
        with other.read() as connection:
            assert connection.scalar(select(func.count()).select_from(BandRow)) == 0
    assert bands(store) == [band("a")]


def test_a_reader_keeps_one_view(store: Store) -> None:
    count = select(func.count()).select_from(BandRow)
    with opened_again(store) as other, other.read() as connection:
        assert connection.scalar(count) == 0
        with store.write() as writer:
            writer.insert(BandRow, [band("a")])
        assert connection.scalar(count) == 0
    assert bands(store) == [band("a")]


def test_reading_cannot_write(store: Store) -> None:
    with pytest.raises(ProjectError, match="cannot be written"), store.read() as connection:
        connection.execute(BandRow.__table__.insert(), [band("a")])
    with store.write() as writer:
        writer.insert(BandRow, [band("b")])
    assert bands(store) == [band("b")]


def test_waiting_too_long_is_told(store: Store, engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine_name == "sqlite":
        monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 50)
    with opened_again(store) as impatient, store.write() as writer:
        writer.insert(BandRow, [band("a")])
        if engine_name == "sqlite":
            with pytest.raises(ProjectError, match="another process") as caught, impatient.write():
                pass
            assert caught.value.code == "LOCKED"
        else:
            with impatient.write() as second:
                second.connection.exec_driver_sql("SET LOCAL lock_timeout = 50")
                with pytest.raises(DBAPIError, match="lock timeout"):
                    second.insert(BandRow, [band("a")])
    assert bands(store) == [band("a")]


def test_closing_does_not_wait_for_readers(store: Store) -> None:
    with opened_again(store, read_only=True) as reader, reader.read() as connection:
        connection.scalar(select(func.count()).select_from(BandRow))
        with store.write() as writer:
            writer.insert(BandRow, [band("a")])
        closing = threading.Thread(target=store.close)
        closing.start()
        closing.join(5)
        assert not closing.is_alive()


# --- read-only stores and folders -------------------------------------------------------------------------


def test_a_read_only_store_refuses_to_write(store: Store) -> None:
    with opened_again(store, read_only=True) as reader:
        with pytest.raises(ProjectError, match="cannot be written") as caught, reader.write():
            raise AssertionError("the door stood open")
        assert "\n" not in str(caught.value)
        assert bands(reader) == []


def test_no_password_in_messages() -> None:
    engine = open_engine(database_url("postgresql://me:secret@host/db", Path("/")))
    store = Store(engine, read_only=True)
    assert "secret" not in store.where
    with pytest.raises(ProjectError) as caught, store.write():
        pass
    assert "secret" not in str(caught.value)


def file_of(store: Store) -> Path:
    return Path(str(store.engine.url.database))


CLOSED_FOLDER = """
import os, sys
from pathlib import Path
from sqlalchemy import func, select
from catalog.errors import ProjectError
from catalog.schema.tables import BandRow
from catalog.store.door import Store
from catalog.store.engine import database_url, is_writable, open_engine
from catalog.store.schema_version import check_revision
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
url = database_url("sqlite:///any.db", Path("/")).set(database=sys.argv[1])
assert not is_writable(url)
with Store(open_engine(url, read_only=True), read_only=True) as store:
    check_revision(store.engine)
    with store.read() as connection:
        print(connection.scalar(select(func.count()).select_from(BandRow)))
try:
    with Store(open_engine(url)).write():
        print("written")
except ProjectError as error:
    print(error.code, error)
"""


@pytest.fixture
def closed_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # Not below pytest's own folder, which another user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="srccat-closed-", dir="/tmp"))
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def run_in_closed_folder(path: Path) -> subprocess.CompletedProcess[str]:
    path.chmod(0o444)
    path.parent.chmod(0o555)
    return subprocess.run(
        [sys.executable, "-c", CLOSED_FOLDER, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["catalog.db", "100%41 of it?#1.db"])
def test_a_folder_that_cannot_be_written_is_read(sqlite_store: Store, closed_folder: Path, name: str) -> None:
    with sqlite_store.write() as writer:
        writer.insert(BandRow, [band("a"), band("b")])
    sqlite_store.close()
    path = closed_folder / name
    shutil.copy(file_of(sqlite_store), path)
    run = run_in_closed_folder(path)
    assert run.returncode == 0, run.stderr
    count, refusal = run.stdout.splitlines()
    assert count == "2"
    assert refusal.startswith("PROJECT the database cannot be written")
    assert sorted(item.name for item in closed_folder.iterdir()) == [name]


def test_a_log_left_in_a_closed_folder_is_not_passed_over(sqlite_store: Store, closed_folder: Path) -> None:
    with sqlite_store.write() as writer:
        writer.insert(BandRow, [band("a")])
    path = closed_folder / "catalog.db"
    for ending in ("", "-wal", "-shm"):
        shutil.copy(f"{file_of(sqlite_store)}{ending}", f"{path}{ending}")
    assert Path(f"{path}-wal").stat().st_size > 0
    run = run_in_closed_folder(path)
    assert run.stdout.splitlines()[:1] == ["1"], run.stdout + run.stderr


def test_a_closed_store_is_one_file(sqlite_store: Store) -> None:
    path = file_of(sqlite_store)
    with sqlite_store.write() as writer:
        writer.insert(BandRow, [band("a")])
    assert path.with_name("catalog.db-wal").stat().st_size > 0
    sqlite_store.close()
    assert [item.name for item in path.parent.iterdir()] == ["catalog.db"]


def test_settings_of_a_sqlite_connection(sqlite_store: Store) -> None:
    with sqlite_store.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("foreign_keys", "journal_mode", "busy_timeout")
        }
    assert found == {"foreign_keys": 1, "journal_mode": "wal", "busy_timeout": 60_000}


def test_no_log_on_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "file_system_of", lambda _path: "nfs4")
    with Store(open_engine(database_url("sqlite:///n.db", tmp_path))) as remote, remote.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"


# --- opening ----------------------------------------------------------------------------------------------


def test_urls(tmp_path: Path) -> None:
    assert database_url("sqlite:///c.db", tmp_path).database == str(tmp_path / "c.db")
    assert database_url("sqlite:////abs/c.db", tmp_path).database == "/abs/c.db"
    assert database_url("postgresql://h/d", tmp_path).drivername == "postgresql+psycopg"
    for wrong in ("nonsense", "mysql://h/d", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ProjectError) as caught:
            database_url(wrong, tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "code"), [("missing/c.db", "NO_DATABASE"), ("text.db", "NOT_A_DATABASE")])
def test_what_cannot_be_opened_is_told(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "text.db").write_text("no database at all, just a text" * 50)
    store = Store(open_engine(database_url(f"sqlite:///{name}", tmp_path)))
    with pytest.raises(ProjectError) as caught, store.write():
        pass
    assert caught.value.code == code
    assert str(tmp_path) in str(caught.value)


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    store = Store(open_engine(database_url(f"postgresql://me:pw@/db?host={tmp_path}", tmp_path)))
    with pytest.raises(ProjectError) as caught, store.write():
        pass
    assert caught.value.code == "NO_SERVER"
    assert "pw@" not in str(caught.value)


def test_writable_or_not(tmp_path: Path) -> None:
    assert is_writable(database_url("sqlite:///c.db", tmp_path))
    assert is_writable(database_url("postgresql://h/d", tmp_path))
    assert not is_writable(database_url("sqlite:///missing/c.db", tmp_path))


# --- all writes pass the door -----------------------------------------------------------------------------

FORBIDDEN = re.compile(
    r"\.commit\(|\.begin\(|\bcreate_engine\b|\bsessionmaker\b|\bsrccat_write\b|\bsqlite3\.connect\b"
)


def test_all_writes_pass_the_door() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for room in ("catalog", "cli")
        for path in sorted((ROOT / room).rglob("*.py"))
        if ROOT / "catalog" / "store" not in path.parents
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_the_search_itself_finds_the_door() -> None:
    door = (ROOT / "catalog" / "store" / "door.py").read_text(encoding="utf-8")
    assert FORBIDDEN.search(door)
