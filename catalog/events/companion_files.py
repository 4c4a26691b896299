"""Companion files of an event list: aspect solution, bad pixels, mask, dead time factors, field of view."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import UserError
from catalog.events.fits_file import open_fits

_FOLDERS = (".", "repro", "primary", "secondary", "secondary/aspect")
_OWN_FOLDERS = {"repro", "primary", "secondary"}


@dataclass(frozen=True)
class Companions:
    """Files found; None or empty where there is none.

    Attributes
    ----------
    aspect
        Aspect solutions, sorted by name.
    aspect_not_found
        Aspect solutions that the header names and that are nowhere.
    bad_pixels, mask, dead_time, field_of_view
        One file each.
    """

    aspect: tuple[Path, ...] = ()
    aspect_not_found: tuple[str, ...] = ()
    bad_pixels: Path | None = None
    mask: Path | None = None
    dead_time: Path | None = None
    field_of_view: Path | None = None


def find_companions(events: Path, obs_id: str | None, names: Mapping[str, tuple[str, ...]]) -> Companions:
    """Look for companions by the names in the header, then by ObsID in the file name.

    Parameters
    ----------
    events
        The event list: its folder is searched, with repro/, primary/ and secondary/ in and beside it.
    obs_id
        Observation, without leading zeros.
    names
        File names by header keyword.
    """
    files = {file.name: file for file in reversed(list(_files_around(events)))}
    written = names.get("ASOLFILE", ())
    aspect = tuple(path for path in (_by_name(name, files) for name in written) if path is not None)
    lost = tuple(name for name in written if _by_name(name, files) is None)
    if not aspect:
        aspect, lost = _aspect_by_observation(files, obs_id), ()
    return Companions(
        aspect=aspect,
        aspect_not_found=lost,
        bad_pixels=_one(files, names.get("BPIXFILE", ()), "bpix1", obs_id),
        mask=_one(files, (*names.get("MASKFILE", ()), *names.get("MSKFILE", ())), "msk1", obs_id),
        dead_time=_one(files, names.get("DTFFILE", ()), "(?:std_)?dtf1", obs_id),
        field_of_view=_one(files, names.get("FOVFILE", ()), "fov1", obs_id),
    )


def _files_around(events: Path) -> Iterator[Path]:
    """Files in the folder of the list first, then in its sisters."""
    folder = events.absolute().parent
    roots = [folder, folder.parent] if folder.name in _OWN_FOLDERS else [folder]
    for root in roots:
        for inner in _FOLDERS:
            place = root / inner
            if place.is_dir():
                yield from sorted(file for file in place.iterdir() if file.is_file())


def _by_name(name: str, files: Mapping[str, Path]) -> Path | None:
    plain = name.removesuffix(".gz")
    return files.get(plain) or files.get(plain + ".gz")


def _one(files: Mapping[str, Path], names: tuple[str, ...], kind: str, obs_id: str | None) -> Path | None:
    for name in names:
        path = _by_name(name, files)
        if path is not None:
            return path
    found = _by_observation(files, "(?:acis|hrc)f", kind, obs_id)
    return found[-1] if found else None


def _aspect_by_observation(files: Mapping[str, Path], obs_id: str | None) -> tuple[Path, ...]:
    """Solutions named by the ObsID; else those whose header names it (older names hold a time)."""
    if obs_id is None:
        return ()
    found = _by_observation(files, "pcadf", "asol1", obs_id)
    if not found:
        candidates = [path for name, path in sorted(files.items()) if re.match(r"pcadf.*asol1.*\.fits", name)]
        found = [path for path in candidates if _header_obs_id(path) == obs_id]
    return tuple(found)


def _by_observation(files: Mapping[str, Path], stem: str, kind: str, obs_id: str | None) -> list[Path]:
    """Files like acisf04600_000N003_bpix1.fits.gz; later revisions last."""
    if obs_id is None or not obs_id.isdigit():
        return []
    pattern = re.compile(rf"{stem}0*{obs_id}(?:_.*)?_{kind}\.fits(?:\.gz)?$", re.IGNORECASE)
    return [path for name, path in sorted(files.items()) if pattern.match(name)]


def _header_obs_id(path: Path) -> str | None:
    try:
        with open_fits(path, complete=False) as hdus:
            values = [str(hdu.header["OBS_ID"]).strip() for hdu in hdus if "OBS_ID" in hdu.header]
    except UserError:
        return None
    return (values[0].lstrip("0") or "0") if values else None
