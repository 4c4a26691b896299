"""Find event lists and their companions: archive folders, repro folders, plain folders, globs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import MissingFileError, UserError
from catalog.events.companion_files import Companions, find_companions
from catalog.events.fits_file import open_fits
from catalog.events.header import ancillary_names

if TYPE_CHECKING:
    from astropy.io import fits

_EVENT_NAME = re.compile(r"evt2.*\.fits?(\.gz)?$", re.IGNORECASE)
_FITS_NAME = re.compile(r"\.(fits?|evt2?)(\.gz)?$", re.IGNORECASE)
#: Folders of one observation, best first: reprocessed lists are newer than those of the archive.
_INNER_FOLDERS = ("repro", ".", "primary")
_DEEPEST = 3


@dataclass(frozen=True)
class ObservationFiles:
    """An event list and its companions.

    Attributes
    ----------
    events
        The event list.
    obs_id
        Without leading zeros; None when the header cannot be read.
    aspect, bad_pixels, mask, dead_time, field_of_view
        Companion files; `aspect` may hold several.
    missing
        What was not found, with its consequence in words.
    problem
        Why the header cannot be read, for a file found in a folder; None when it can.
    """

    events: Path
    obs_id: str | None
    aspect: tuple[Path, ...] = ()
    bad_pixels: Path | None = None
    mask: Path | None = None
    dead_time: Path | None = None
    field_of_view: Path | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    problem: UserError | None = None


def find_observations(paths: Iterable[str | os.PathLike[str]]) -> list[ObservationFiles]:
    """Find the event lists that paths lead to.

    Parameters
    ----------
    paths
        Files, folders (archive: primary/ and secondary/; repro/; an ObsID folder with both, of which repro/
        wins; a folder of such folders; or a plain folder), and globs.

    Returns
    -------
    list of ObservationFiles
        Each event list once, in the order found.

    Raises
    ------
    MissingFileError
        MISSING_FILE: a path or glob leads nowhere. NO_EVENT_FILES: a folder without event list.
    InputFileError
        For a file given by name that is no FITS file.
    """
    found: dict[Path, ObservationFiles] = {}
    for path in paths:
        for expanded in _expand(os.fspath(path)):
            named = not expanded.is_dir()
            for events in [expanded] if named else _event_files(expanded):
                key = events.resolve()
                if key not in found:
                    found[key] = _describe(events, named=named)
    return list(found.values())


def _expand(path: str) -> list[Path]:
    plain = Path(path).expanduser()
    if plain.exists():
        return [plain]
    matches = sorted(Path(match) for match in glob.glob(str(plain), recursive=True))
    if not matches:
        raise MissingFileError("no such file or folder", path, "check the path or pattern")
    return matches


def _event_files(folder: Path) -> list[Path]:
    files = _search(folder, _DEEPEST)
    if not files:
        raise MissingFileError(
            "no event list in this folder",
            folder,
            "give a folder with *evt2.fits files, or an archive folder with primary/ or repro/",
            code="NO_EVENT_FILES",
        )
    return files


def _search(folder: Path, depth: int) -> list[Path]:
    """Event lists of a folder; of an observation's list in several inner folders, the best."""
    best: dict[str, list[Path]] = {}
    for inner in _INNER_FOLDERS:
        by_observation: dict[str, list[Path]] = {}
        for file in _event_files_in(folder / inner):
            by_observation.setdefault(_observation_key(file), []).append(file)
        for key, files in by_observation.items():
            best.setdefault(key, files)
    found = [file for files in best.values() for file in files]
    if depth > 0:
        known = {*_INNER_FOLDERS, "secondary"}
        for child in sorted(folder.iterdir()):
            if child.is_dir() and child.name not in known and not child.name.startswith("."):
                found.extend(_search(child, depth - 1))
    return sorted(found)


def _event_files_in(folder: Path) -> list[Path]:
    """Files called evt2; in a folder without one, those that hold an EVENTS table and are not level 1."""
    if not folder.is_dir():
        return []
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    named = [file for file in files if _EVENT_NAME.search(file.name)]
    if named:
        return named
    return [file for file in files if _FITS_NAME.search(file.name) and _holds_events(file)]


def _holds_events(path: Path) -> bool:
    if "evt1" in path.name.lower():
        return False
    try:
        with open_fits(path, complete=False) as hdus:
            return "EVENTS" in hdus
    except UserError:
        return False


def _observation_key(path: Path) -> str:
    header, _ = _read_header(path)
    if header is None or "OBS_ID" not in header:
        return str(path)
    # Interleaved mode: one ObsID, two lists with different frame times and cycles.
    return "/".join(str(header.get(key, "")).strip() for key in ("OBS_ID", "OBI_NUM", "CYCLE", "DATAMODE"))


def _read_header(path: Path) -> tuple[fits.Header | None, UserError | None]:
    """Header of the event table (else the primary one), or why there is none."""
    try:
        with open_fits(path, complete=False) as hdus:
            return (hdus["EVENTS"] if "EVENTS" in hdus else hdus[0]).header.copy(), None
    except UserError as error:
        return None, error


def _describe(events: Path, *, named: bool) -> ObservationFiles:
    header, problem = _read_header(events)
    if problem is not None and named:
        raise problem
    if header is None:
        return ObservationFiles(events, None, problem=problem)
    obs_id = str(header.get("OBS_ID", "")).strip().lstrip("0") or None
    companions = find_companions(events, obs_id, ancillary_names(header))
    hrc = str(header.get("INSTRUME", "")).strip().upper() == "HRC"
    return ObservationFiles(
        events,
        obs_id,
        aspect=companions.aspect,
        bad_pixels=companions.bad_pixels,
        mask=companions.mask,
        dead_time=companions.dead_time,
        field_of_view=companions.field_of_view,
        missing=_missing(companions, hrc=hrc),
    )


def _missing(companions: Companions, *, hrc: bool) -> dict[str, str]:
    missing: dict[str, str] = {}
    if not companions.aspect:
        missing["aspect solution"] = "rebuilt from the events"
    elif companions.aspect_not_found:
        lost = ", ".join(companions.aspect_not_found)
        missing["aspect solution"] = (
            f"{lost} not found; rebuilt from the events if the rest does not cover them"
        )
    if companions.bad_pixels is None:
        missing["bad pixels"] = "bad pixels and columns count as good, exposures are slightly high"
    if companions.mask is None:
        missing["mask"] = "the rows of the header are used, windows inside a chip are not known"
    if hrc and companions.dead_time is None:
        missing["dead time factors"] = "the mean of the header is used"
    if companions.field_of_view is None:
        missing["field of view"] = "computed from the chips and the dither"
    return missing
