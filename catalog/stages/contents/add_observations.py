"""Adding observations: find event lists, check them, record them with their companions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from catalog.band import CSC_BANDS
from catalog.calibration.psf_blur import position_kind
from catalog.config import ObservationSettings
from catalog.errors import InputFileError, SettingsError
from catalog.events.event_list import EventList
from catalog.events.good_time_checks import good_time_doubt
from catalog.events.observation_files import ObservationFiles, find_observations
from catalog.measure.observed_field import ObservedField, load_observed_field
from catalog.recipes.recipe import WIDE
from catalog.schema.tables import BandRow, EventSet, InputFile, Observation
from catalog.stages.base.checksum import file_sha256
from catalog.stages.base.project import Project
from catalog.stages.base.remote_files import fetch, is_url, stored_name
from catalog.stages.base.work import field_inputs
from catalog.stages.engine.chip_rows import chip_rows, field_hash, store_chips
from catalog.store.cone import cell
from catalog.store.door import Writer
from catalog.store.runs import begin_run, finish

ROLES = ("photometry", "validation", "spectral")


@dataclass(frozen=True)
class Found:
    """What `find` or `add` says about one event list.

    Attributes
    ----------
    files
        The event list and its companions.
    outcome
        ``found``, ``added``, ``replaced`` or ``unchanged``.
    n_events, dropped, energy_range
        As read; None for a dry run.
    good_time_doubt
        Why variability tests of it will be doubtful; None where nothing is wrong.
    """

    files: ObservationFiles
    outcome: str
    n_events: int | None = None
    dropped: dict[str, int] | None = None
    energy_range: tuple[float, float] | None = None
    good_time_doubt: str | None = None


def find(paths: Sequence[Path | str]) -> list[ObservationFiles]:
    """Find the event lists that paths lead to; the first whose header cannot be read raises its error."""
    found = find_observations([fetch(str(path)) if is_url(path) else path for path in paths])
    for files in found:
        if files.problem is not None:
            raise files.problem
    return found


def add_observations(
    project: Project,
    paths: Sequence[Path | str],
    *,
    role: str = "photometry",
    replace: bool = False,
    dry_run: bool = False,
) -> list[Found]:
    """Add event lists to a project, all or none.

    Parameters
    ----------
    project
        The project.
    paths
        Files, folders, globs, or URLs of files and folders.
    role
        photometry, validation or spectral.
    replace
        Whether an event list of the same observation and role is replaced by another file.
    dry_run
        Only say what was found.

    Raises
    ------
    UserError
        For the first file that cannot be used; nothing is added then.
    """
    if role not in ROLES:
        raise SettingsError("unknown role", role, f"choose one of {', '.join(ROLES)}", code="UNKNOWN_ROLE")
    found = find(paths)
    if dry_run:
        return [Found(files, "found") for files in found]
    read = [(files, _read(project, files)) for files in found]
    _check_distinct(read)
    with project.store.read() as connection:
        known = _known_files(connection, role)
    results = [_outcome(files, field, known, replace) for files, field in read]
    changed = [pair for pair, result in zip(read, results, strict=True) if result.outcome != "unchanged"]
    if changed:
        with project.store.write() as writer:
            run_id = begin_run(writer, "add observations", project.frozen_settings(), [])
            for files, field in changed:
                _store(writer, run_id, files, field, role)
            added = {file_sha256(files.events) for files, _ in changed}
            for item in field_inputs(writer.connection, project.settings, role):
                if item.sha256 in added:
                    writer.update(EventSet, item.event_set_id, {"field_hash": field_hash(item)})
            finish(writer, run_id, "done", _reasons(results))
    return results


def _read(project: Project, files: ObservationFiles) -> ObservedField:
    settings = project.settings.for_observation(files.obs_id or "")
    return load_observed_field(
        files.events,
        aspect_files=aspect_files(files.aspect, settings),
        bad_pixel_file=settings.badpix or files.bad_pixels,
        mask_file=settings.mask or files.mask,
        fov_file=settings.fov,
        gti_file=settings.gti,
        exclude_times=settings.exclude_times,
        dead_time_file=settings.dtf or files.dead_time,
    )


def aspect_files(found: Sequence[Path], settings: ObservationSettings) -> tuple[Path, ...]:
    """Aspect solutions of an observation: those of the settings, else those found beside the event list."""
    return tuple(settings.aspect) if settings.aspect is not None else tuple(found)


Key = tuple[str, int, str, str]


def observation_key(events: EventList) -> Key:
    """Natural key of an observation: ObsID, OBI (0 where the header has none), cycle, mode."""
    header = events.header
    return header.obs_id, header.obi_num or 0, header.cycle, header.datamode or "UNKNOWN"


def _check_distinct(read: Sequence[tuple[ObservationFiles, ObservedField]]) -> None:
    seen: dict[Key, Path] = {}
    for files, field in read:
        key = observation_key(field.events)
        if key in seen:
            raise InputFileError(
                f"two event lists of ObsID {key[0]}",
                f"{seen[key]} and {files.events}",
                "name the one to use, or add the other with another --role",
                code="DUPLICATE_OBSERVATION",
            )
        seen[key] = files.events


def _known_files(connection: Connection, role: str) -> dict[Key, tuple[str, str]]:
    rows = connection.execute(
        select(
            Observation.obs_id,
            Observation.obi_num,
            Observation.cycle,
            Observation.datamode,
            InputFile.path,
            InputFile.sha256,
        )
        .join(EventSet, EventSet.observation_id == Observation.id)
        .join(InputFile, InputFile.id == EventSet.input_file_id)
        .where(EventSet.role == role)
    )
    return {(row.obs_id, row.obi_num, row.cycle, row.datamode): (row.path, row.sha256) for row in rows}


def _outcome(
    files: ObservationFiles, field: ObservedField, known: dict[Key, tuple[str, str]], replace: bool
) -> Found:
    key = observation_key(field.events)
    events = field.events
    summary = (len(events), dict(events.dropped), events.energy_range, good_time_doubt(events))
    if key not in known:
        return Found(files, "added", *summary)
    path, sha256 = known[key]
    if sha256 == file_sha256(files.events) and path == stored_name(files.events):
        return Found(files, "replaced" if replace else "unchanged", *summary)
    if not replace:
        raise InputFileError(
            f"ObsID {key[0]} has another event list in this role already ({path})",
            files.events,
            "use --replace, or another --role",
            code="OBSERVATION_EXISTS",
        )
    return Found(files, "replaced", *summary)


def _reasons(results: Sequence[Found]) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for result in results:
        for reason, count in (result.dropped or {}).items():
            reasons[f"events dropped: {reason}"] = reasons.get(f"events dropped: {reason}", 0) + count
    return reasons


def _file_row(path: Path, kind: str, run_id: int) -> dict[str, Any]:
    where = path.resolve()
    return {
        "run_id": run_id,
        "path": stored_name(where),
        "size": where.stat().st_size,
        "sha256": file_sha256(where),
        "file_kind": kind,
    }


def _store(writer: Writer, run_id: int, files: ObservationFiles, field: ObservedField, role: str) -> None:
    key = ("obs_id", "obi_num", "cycle", "datamode")
    observation = _observation_row(field, run_id)
    writer.upsert(Observation, [observation], key=key)
    observation_id = writer.connection.scalar(
        select(Observation.id).where(*(getattr(Observation, name) == observation[name] for name in key))
    )
    companions = _companions(files)
    file_rows = [_file_row(files.events, "evt2", run_id)]
    file_rows += [_file_row(path, kind, run_id) for kind, paths in companions.items() for path in paths]
    writer.ensure(InputFile, file_rows, key=("path", "sha256"))
    events_row = file_rows[0]
    file_id = writer.connection.scalar(
        select(InputFile.id).where(
            InputFile.path == events_row["path"], InputFile.sha256 == events_row["sha256"]
        )
    )
    events = field.events
    cut = events.energy_range or (None, None)
    row = {
        "run_id": run_id,
        "observation_id": observation_id,
        "input_file_id": file_id,
        "role": role,
        "n_events": len(events),
        "energy_lo": cut[0],
        "energy_hi": cut[1],
        "position_kind": position_kind(events.header),
        "ancillary": {
            kind: [
                {name: file[name] for name in ("path", "size", "sha256")}
                for file in file_rows
                if file["file_kind"] == kind
            ]
            for kind in companions
        },
        "dropped": dict(events.dropped),
    }
    writer.upsert(EventSet, [row], key=("observation_id", "role"))
    event_set_id = writer.connection.scalar(
        select(EventSet.id).where(EventSet.observation_id == observation_id, EventSet.role == role)
    )
    assert event_set_id is not None
    if not events.header.imager.has_energies:
        wide = CSC_BANDS[WIDE]
        row = {"band": wide.name, "lo": wide.lo, "hi": wide.hi, "eff": wide.eff}
        writer.ensure(BandRow, [row], key=["band"])
    store_chips(writer, event_set_id, chip_rows(field))


def _companions(files: ObservationFiles) -> dict[str, list[Path]]:
    single = {
        "bpix1": files.bad_pixels,
        "msk1": files.mask,
        "dtf1": files.dead_time,
        "fov1": files.field_of_view,
    }
    found = {kind: [path] for kind, path in single.items() if path is not None}
    return {"asol1": list(files.aspect), **found} if files.aspect else found


def _observation_row(field: ObservedField, run_id: int) -> dict[str, Any]:
    events = field.events
    header = events.header
    obs_id, obi_num, cycle, datamode = observation_key(events)
    ontime = events.all_good_times().total()
    position = cell(np.array([header.ra_pnt]), np.array([header.dec_pnt]))[0]
    return {
        "run_id": run_id,
        "obs_id": obs_id,
        "obi_num": obi_num,
        "cycle": cycle,
        "datamode": datamode,
        "instrument": header.instrument,
        "detector": header.detector or header.instrument,
        "grating": header.grating or "NONE",
        "object": header.object,
        "date_obs": header.date_obs or "",
        "decimal_year": header.decimal_year,
        "tstart": header.tstart,
        "tstop": header.tstop,
        "ontime": ontime,
        "livetime": header.livetime if header.livetime is not None else ontime * (header.dtcor or 1.0),
        "ra_pnt": header.ra_pnt,
        "dec_pnt": header.dec_pnt,
        "roll_pnt": header.roll_pnt,
        "frame_time": header.frame_time,
        "hpx29": int(position),
    }
