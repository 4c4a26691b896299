"""What stages work on: event sets, sources, and the units that join them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.calibration.provider import Calibration
from catalog.calibration.psf_blur import BLUR, Blur, with_core
from catalog.config import Settings
from catalog.events.detector import ACIS, DETECTORS, detector_named
from catalog.measure.placement import Correction
from catalog.recipes.recipe import Recipe
from catalog.schema.tables import EventSet, InputFile, Observation, Source, WorkUnit
from catalog.stages.base.checksum import file_sha256
from catalog.stages.base.fingerprint import Inputs
from catalog.stages.base.remote_files import local_copy
from catalog.stages.base.user_files import UserFiles, user_files
from catalog.store.door import Writer

EVERYWHERE = "all"
"""Scope of the units of a merge."""


@dataclass(frozen=True)
class FieldInput:
    """An event set with everything that shapes its extractions.

    Attributes
    ----------
    event_set_id
        Row number.
    scope
        Natural key as text: observation and role.
    path, sha256
        The event list.
    aspect
        Aspect solutions as (path, SHA-256).
    bad_pixels, mask, field_of_view, gti
        Bad pixels, windows of the chips, region of the field and good times as (path, SHA-256), None without
        one.
    exclude_times
        Times left out.
    ra_pnt, dec_pnt, roll_pnt, decimal_year, grating
        As in `observation`.
    correction
        Astrometric correction.
    psf_blur
        Blur of event positions beyond the packaged point spread functions, arcsec.
    user_files
        The user's responses and PSF images: first those of the observation, then those of sources.
    detector
        ACIS, HRC-I or HRC-S.
    dead_time
        Dead time factors of the HRC as (path, SHA-256).
    """

    event_set_id: int
    scope: str
    path: Path
    sha256: str
    aspect: tuple[tuple[Path, str], ...]
    bad_pixels: tuple[Path, str] | None
    mask: tuple[Path, str] | None
    field_of_view: tuple[Path, str] | None
    gti: tuple[Path, str] | None
    exclude_times: tuple[tuple[float, float], ...]
    ra_pnt: float
    dec_pnt: float
    roll_pnt: float
    decimal_year: float
    grating: str
    correction: Correction
    psf_blur: Blur
    user_files: tuple[UserFiles, ...] = (UserFiles(),)
    detector: str = ACIS.name
    dead_time: tuple[Path, str] | None = None

    @property
    def has_energies(self) -> bool:
        """Whether events carry energies: those of the HRC do not."""
        return DETECTORS[self.detector].has_energies

    def recipe_here(self, recipe: Recipe) -> Recipe:
        """A recipe with the bands that this event set is measured in: the wide one alone for the HRC."""
        return recipe if self.has_energies else recipe.in_wide_band()

    def calibration(self, base: Calibration) -> Calibration:
        """The calibration of this event set: that of its detector, with its blur and the user's files."""
        return self.user_files[0].calibration(base.with_psf(base.psf.with_blur(self.psf_blur)))

    def file_key(self) -> list[Any]:
        """The files that shape this event set: the event list and its companions."""
        companions = (self.bad_pixels, self.mask, self.field_of_view)
        found: list[Any] = [
            self.sha256,
            [sha256 for _, sha256 in self.aspect],
            [None if file is None else file[1] for file in companions],
        ]
        return found if self.dead_time is None else [*found, self.dead_time[1]]

    def geometry_key(self) -> list[Any]:
        """Files and settings together."""
        return [self.file_key(), self.settings_key()]

    def settings_key(self) -> list[Any]:
        """What the settings add: good times, times left out, astrometric correction."""
        return [
            None if self.gti is None else self.gti[1],
            [list(interval) for interval in self.exclude_times],
            [self.correction.dx, self.correction.dy, self.correction.rotation, self.correction.scale],
        ]


def field_inputs(connection: Connection, settings: Settings, role: str = "photometry") -> list[FieldInput]:
    """Return the event sets of a role, in the order of their observations."""
    rows = connection.execute(
        select(
            Observation,
            EventSet.id.label("event_set_id"),
            EventSet.ancillary,
            EventSet.position_kind,
            InputFile.path,
            InputFile.sha256,
        )
        .join(EventSet, EventSet.observation_id == Observation.id)
        .join(InputFile, InputFile.id == EventSet.input_file_id)
        .where(EventSet.role == role)
        .order_by(Observation.obs_id, Observation.obi_num, Observation.cycle, Observation.datamode)
    ).all()
    return [_field_input(row, settings, role) for row in rows]


def _field_input(row: Any, settings: Settings, role: str) -> FieldInput:
    chosen = settings.for_observation(row.obs_id)
    if chosen.aspect is not None:
        aspect = tuple((path, file_sha256(path)) for path in chosen.aspect)
    else:
        aspect = tuple((Path(file["path"]), file["sha256"]) for file in row.ancillary.get("asol1", ()))
    found = detector_named(row.instrument, row.detector) or ACIS
    dtf = _chosen_file(chosen.dtf, row.ancillary.get("dtf1", ()))
    dx, dy = chosen.shift or (row.correction_dx or 0.0, row.correction_dy or 0.0)
    setup = None
    if settings.calibration.provider == "caldb" and found is ACIS:
        from catalog.calibration.instrument_setup import instrument_setup
        from catalog.events.event_list import read_event_header

        setup = instrument_setup(read_event_header(local_copy(Path(row.path), row.sha256)))
    return FieldInput(
        event_set_id=row.event_set_id,
        scope=f"{row.obs_id}/{row.obi_num}/{row.cycle}/{row.datamode}/{role}",
        path=Path(row.path),
        sha256=row.sha256,
        aspect=aspect,
        bad_pixels=_chosen_file(chosen.badpix, row.ancillary.get("bpix1", ())),
        mask=_chosen_file(chosen.mask, row.ancillary.get("msk1", ())),
        field_of_view=_chosen_file(chosen.fov),
        gti=_chosen_file(chosen.gti),
        exclude_times=tuple(chosen.exclude_times),
        ra_pnt=row.ra_pnt,
        dec_pnt=row.dec_pnt,
        roll_pnt=row.roll_pnt,
        decimal_year=row.decimal_year,
        grating=row.grating,
        correction=Correction(dx, dy, row.correction_rotation or 0.0, row.correction_scale or 1.0),
        psf_blur=with_core(BLUR[row.position_kind], settings.calibration.psf_blur),
        user_files=user_files(
            chosen, found.name, (row.obs_id, row.ra_pnt, row.dec_pnt), (setup, row.decimal_year)
        ),
        detector=found.name,
        dead_time=None if found.has_energies else dtf,
    )


def _chosen_file(setting: Path | None, found: Sequence[dict[str, Any]] = ()) -> tuple[Path, str] | None:
    """The file of the settings, else the one recorded with the event list, with its SHA-256."""
    if setting is not None:
        return setting, file_sha256(setting)
    return (Path(found[0]["path"]), str(found[0]["sha256"])) if found else None


@dataclass(frozen=True, eq=False)
class SourceTable:
    """All sources: row numbers and positions (degrees ICRS), in the order of their natural keys."""

    id: NDArray[np.int64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.id)


def source_table(connection: Connection) -> SourceTable:
    """Read the sources."""
    rows = connection.execute(select(Source.id, Source.ra, Source.dec).order_by(Source.origin_hpx29)).all()
    return SourceTable(
        np.array([row.id for row in rows], dtype=np.int64),
        np.array([row.ra for row in rows], dtype=float),
        np.array([row.dec for row in rows], dtype=float),
    )


@dataclass(frozen=True)
class UnitState:
    """A work unit as the database has it."""

    fingerprint: str
    result_hash: str | None
    done: bool


def unit_states(connection: Connection, stage: str, recipe_id: int, scope: str) -> dict[int, UnitState]:
    """Return the units of a stage, recipe and scope by source id."""
    rows = connection.execute(
        select(WorkUnit.source_id, WorkUnit.fingerprint, WorkUnit.result_hash, WorkUnit.state).where(
            WorkUnit.stage == stage, WorkUnit.recipe_id == recipe_id, WorkUnit.scope == scope
        )
    )
    return {row.source_id: UnitState(row.fingerprint, row.result_hash, row.state == "done") for row in rows}


@dataclass(frozen=True)
class UnitResult:
    """How one unit ended: the hash of its result, or why there is none."""

    source_id: int
    inputs: Inputs
    result_hash: str | None
    reason: str | None = None
    message: str | None = None


def store_units(
    writer: Writer,
    run_id: int,
    stage: str,
    recipe_id: int,
    scope: str,
    event_set_id: int | None,
    results: Iterable[UnitResult],
) -> None:
    """Record how units ended."""
    rows = [
        {
            "run_id": run_id,
            "stage": stage,
            "recipe_id": recipe_id,
            "source_id": result.source_id,
            "event_set_id": event_set_id,
            "scope": scope,
            "fingerprint": result.inputs.fingerprint,
            "inputs": result.inputs.short(),
            "result_hash": result.result_hash,
            "state": "failed" if result.reason else "done",
            "reason": result.reason,
            "message": result.message,
        }
        for result in results
    ]
    writer.upsert(WorkUnit, rows, key=("stage", "recipe_id", "source_id", "scope"))


def batches(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    """Cut a sequence into parts of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
