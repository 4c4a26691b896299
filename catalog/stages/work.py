"""What stages work on: event sets, sources, and the units that join them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.calibration.psf_blur import BLUR
from catalog.config import Settings
from catalog.measure.placement import Correction
from catalog.schema.tables import EventSet, InputFile, Observation, Source, WorkUnit
from catalog.stages.checksum import file_sha256
from catalog.stages.user_files import UserFiles, user_files
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
    psf_blur: float
    user_files: tuple[UserFiles, ...] = (UserFiles(),)

    def geometry_key(self) -> list[Any]:
        """What the regions of this event set can depend on, besides sources, recipe and PSF."""
        return [
            self.sha256,
            [sha256 for _, sha256 in self.aspect],
            [
                None if file is None else file[1]
                for file in (self.bad_pixels, self.mask, self.field_of_view, self.gti)
            ],
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
    )
    return [_field_input(row, settings, role) for row in rows]


def _field_input(row: Any, settings: Settings, role: str) -> FieldInput:
    chosen = settings.for_observation(row.obs_id)
    if chosen.aspect is not None:
        aspect = tuple((path, file_sha256(path)) for path in chosen.aspect)
    else:
        aspect = tuple((Path(file["path"]), file["sha256"]) for file in row.ancillary.get("asol1", ()))
    dx, dy = chosen.shift or (row.correction_dx or 0.0, row.correction_dy or 0.0)
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
        psf_blur=BLUR[row.position_kind]
        if settings.calibration.psf_blur is None
        else settings.calibration.psf_blur,
        user_files=user_files(chosen),
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
    fingerprint: str
    result_hash: str | None
    reason: str | None = None
    message: str | None = None


def is_changed(result: UnitResult, states: dict[int, UnitState]) -> bool:
    """Tell whether a result differs from the one that the database holds, or there is none."""
    known = states.get(result.source_id)
    return (
        known is None
        or not known.done
        or result.result_hash is None
        or known.result_hash != result.result_hash
    )


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
            "fingerprint": result.fingerprint,
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
