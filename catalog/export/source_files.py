"""Files of single sources: events, images, PSF and regions, as the two reference systems leave them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits

from catalog.apertures.fits_regions import FitsRegion, region_table
from catalog.apertures.region import Region, clip_to_field
from catalog.band import Band, parse_band
from catalog.calibration.provider import Calibration
from catalog.calibration.psf_image import PsfModel, read_psf_image
from catalog.calibration.psf_stamp import PsfStamp
from catalog.errors import ProjectError, SettingsError
from catalog.export.event_cutout import EventCutter
from catalog.export.merged_source_files import (
    MergedGrid,
    MergedPart,
    merged_contents,
    merged_part,
)
from catalog.export.region_files import region_text
from catalog.export.sky_image import Card, header_of, image_bytes, observation_cards, sky_cards
from catalog.export.source_file_inputs import wanted_files
from catalog.export.source_file_names import STYLES, FileNames
from catalog.export.stamps import make_stamps, psf_cards
from catalog.export.writers import write_whole
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import sky_positions
from catalog.recipes.recipe import Recipe
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.field_choice import obs_id_of
from catalog.stages.base.project import Project
from catalog.stages.base.work import FieldInput
from catalog.stages.contents.manage_sources import SourceRow
from catalog.stages.contents.stored_regions import StoredRegion

_NEIGHBOURHOOD = 25.0
"""Arcsec: half the width of the neighbourhood (ACIS Extract's), unless the regions reach farther."""
_MERGED_CARDS = ("BAND", "ENERG_LO", "ENERG_HI", "ENERG_EF", "RECIPE")


@dataclass
class WrittenFiles:
    """What was written.

    Attributes
    ----------
    paths
        The files.
    remarks
        Sources and observations without files, and why.
    """

    paths: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """An observation with all that its files need."""

    project: Project
    item: FieldInput
    observed: ObservedField
    recipe: Recipe
    band: Band
    calibration: Calibration
    psf_images: dict[int, Path]
    cutter: EventCutter


def write_source_files(
    project: Project,
    names: Sequence[str],
    folder: Path,
    *,
    style: str = "srccat",
    obs_id: str | None = None,
    recipe: str = "default",
    band: str | None = None,
    merged: bool = False,
) -> WrittenFiles:
    """Write events, images, PSF and regions of sources, observation by observation.

    Parameters
    ----------
    project
        The project.
    names
        Sources: numbers, names or labels.
    folder
        Where to; it is made.
    style
        Whose file names: one of `STYLES`.
    obs_id
        One ObsID; all that have regions of the source unless given.
    recipe
        Whose regions.
    band
        Band of the images; the widest of the recipe unless given.
    merged
        Whether to write the files of all observations of a source together, too.

    Raises
    ------
    UnknownNameError
        For a source, observation or recipe that the catalog does not have, and NO_REGIONS when there is no
        region of any of them.
    SettingsError
        For a style or band that is none.
    ProjectError
        The folder cannot be written.
    """
    if style not in STYLES:
        raise SettingsError("unknown style", style, f"choose from {', '.join(STYLES)}", code="UNKNOWN_STYLE")
    if merged and obs_id is not None:
        raise SettingsError("merged files of one observation", obs_id, "leave out --obs or --merged")
    wanted = wanted_files(project, names, obs_id, recipe)
    result = WrittenFiles()
    parts: dict[int, list[MergedPart]] = {row.id: [] for row in wanted.sources}
    first: _Surroundings | None = None
    for number, item in enumerate(wanted.fields, start=1):
        surroundings = _surroundings(project, item, wanted.recipe, band, wanted.psf_images[item.event_set_id])
        first = first or surroundings
        for row in wanted.sources:
            own = [
                entry
                for entry in wanted.regions
                if entry.source_id == row.id and entry.event_set_id == item.event_set_id
            ]
            used = surroundings.band.name
            files = FileNames(style, row.id, row.name, obs_id_of(item), number, len(wanted.fields), used)
            by_role = _regions(surroundings, row, own, result)
            if by_role is None:
                continue
            _write(_contents(surroundings, row, by_role, own, style), files, folder, result)
            if not merged or (row.id, item.event_set_id) in wanted.left_out:
                continue
            part = _merged_part(surroundings, row, by_role) if surroundings.band == first.band else None
            if part is not None:
                parts[row.id].append(part)
            else:
                where = f"source {row.id} in ObsID {obs_id_of(item)}"
                result.remarks.append(f"{where}: another detector or a grating, not in the merged files")
    if first is not None:
        for row in wanted.sources:
            _write_merged(first, row, parts[row.id], style, folder, result)
    return result


def _surroundings(
    project: Project, item: FieldInput, recipe: Recipe, band: str | None, psf_images: dict[int, Path]
) -> _Surroundings:
    observed, here = observed_field(field_key(item)), item.recipe_here(recipe)
    calibration = item.calibration(project.calibration())
    cutter = EventCutter(observed.events)
    return _Surroundings(project, item, observed, here, _band(here, band), calibration, psf_images, cutter)


def _band(recipe: Recipe, text: str | None) -> Band:
    known = recipe.energy_bands
    if text is None:
        return max(known, key=lambda band: band.hi - band.lo)
    return next((band for band in known if band.name == text), None) or parse_band(text)


def _regions(
    here: _Surroundings, row: SourceRow, stored: Sequence[StoredRegion], result: WrittenFiles
) -> dict[str, Region] | None:
    """Regions by role, clipped to the field; None, and a remark, where there is no aperture."""
    view = here.observed.field_of_view.region
    by_role = {entry.role: clip_to_field(entry.region, view) for entry in stored}
    where = f"source {row.id} in ObsID {obs_id_of(here.item)}"
    if "source" not in by_role or "background" not in by_role:
        result.remarks.append(f"{where}: no aperture")
        return None
    if any(entry.waiting for entry in stored):
        result.remarks.append(f"{where}: drawn or released since the last run, not measured as it is here")
    if here.item.grating not in ("NONE", ""):
        result.remarks.append(f"{where}: no effective area with a grating in place, so no exposure and flux")
    return {role: by_role[role] for role in ("source", "background")}


def _contents(
    here: _Surroundings,
    row: SourceRow,
    regions: dict[str, Region],
    stored: Sequence[StoredRegion],
    style: str,
) -> dict[str, bytes]:
    """Files of one source in one observation, by kind."""
    place = _place(here, row)
    return {
        **_event_files(here, regions, place),
        **_image_files(here, regions),
        "psf": _psf_file(here, row, place),
        **_region_files(here, row, stored, style),
    }


def _place(here: _Surroundings, row: SourceRow) -> tuple[float, float]:
    """Sky pixel of a source in an observation."""
    frame = here.observed.events.sky_frame
    x, y = sky_positions(frame, np.array([row.ra]), np.array([row.dec]), here.item.correction)
    return float(x[0]), float(y[0])


def _write(contents: dict[str, bytes], files: FileNames, folder: Path, result: WrittenFiles) -> None:
    for kind, content in contents.items():
        name = files.path(kind)
        if name is None:
            continue
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or "error"
            raise ProjectError(
                f"the folder cannot be made ({reason})", path.parent, "choose another folder"
            ) from None
        write_whole(path, content)
        result.paths.append(path)


def _write_merged(
    first: _Surroundings,
    row: SourceRow,
    parts: Sequence[MergedPart],
    style: str,
    folder: Path,
    result: WrittenFiles,
) -> None:
    """Write what the observations of a source, of which `first` is one, amount to together."""
    if not parts:
        return
    files = FileNames(style, row.id, row.name, "", 0, len(parts), first.band.name, merged=True)
    energies = first.band if first.item.has_energies else None
    cards = [card for card in _cards(first) if card[0] in _MERGED_CARDS]
    _write(merged_contents(parts, MergedGrid(row.ra, row.dec), energies, cards), files, folder, result)


def _merged_part(here: _Surroundings, row: SourceRow, regions: dict[str, Region]) -> MergedPart | None:
    """What an observation adds to the merged files; None where no effective area applies."""
    if here.item.grating not in ("NONE", ""):
        return None
    response = (here.calibration, here.project.spectrum(), here.recipe.exposure.weighting)
    place, grid = _place(here, row), MergedGrid(row.ra, row.dec)
    stamp = _psf(here, row, place)[0]
    return merged_part(here.observed, grid, place, regions, here.band, stamp, response)


def _event_files(
    here: _Surroundings, regions: dict[str, Region], place: tuple[float, float]
) -> dict[str, bytes]:
    events = here.observed.events
    found = {}
    for role in ("source", "background"):
        near = here.observed.events_near(*regions[role].shape.reach)
        inside = near[regions[role].contains(events.x[near], events.y[near])]
        found[f"{role}_events"] = here.cutter.content(inside, f"events of the {role} region")
    reach = [region.shape.reach[2] for region in regions.values()]
    half = max(_NEIGHBOURHOOD / events.sky_frame.pixel_scale_arcsec, *reach)
    box = np.flatnonzero((np.abs(events.x - place[0]) <= half) & (np.abs(events.y - place[1]) <= half))
    found["neighbourhood_events"] = here.cutter.content(box, "events around the source")
    return found


def _image_files(here: _Surroundings, regions: dict[str, Region]) -> dict[str, bytes]:
    observed, band = here.observed, here.band
    has_response = here.item.grating in ("NONE", "")
    stamps = make_stamps(
        observed,
        (regions["source"], regions["background"]),
        band if here.item.has_energies else None,
        here.calibration,
        here.project.spectrum(),
        here.recipe.exposure.weighting,
        response=band if has_response else None,
    )
    images = (
        ("counts", stamps.counts, "count"),
        ("exposure", stamps.exposure, "cm**2 s"),
        ("flux", stamps.flux, "photon cm**-2 s**-1"),
    )
    place = sky_cards(observed.events.sky_frame, float(stamps.x[0]), float(stamps.y[0]))
    found = {}
    for kind, values, unit in images:
        if values is not None:
            cards: list[Card] = [*place, ("BUNIT", unit, ""), ("CONTENT", kind.upper(), "")]
            found[kind] = image_bytes(values, header_of([*cards, *_cards(here)]))
    return found


def _cards(here: _Surroundings) -> list[Card]:
    band = here.band
    return [
        *observation_cards(here.observed.events.header),
        ("LIVETIME", here.observed.live_time, "[s] longest live time of a chip"),
        ("BAND", band.name, ""),
        ("ENERG_LO", band.lo, "[keV]"),
        ("ENERG_HI", band.hi, "[keV]"),
        ("ENERG_EF", band.eff, "[keV] effective energy"),
        ("RECIPE", here.recipe.name, ""),
        ("EVTFILE", here.item.path.name, ""),
    ]


def _psf(here: _Surroundings, row: SourceRow, place: tuple[float, float]) -> tuple[PsfStamp, float, float]:
    """The point spread function of a source, its off-axis angle (arcmin) and azimuth (degrees)."""
    pointing = here.observed.events.pointing
    theta, phi = (float(value) for value in pointing.off_axis(*place))
    psf: PsfModel = here.calibration.psf
    if row.id in here.psf_images:
        ra, dec = (float(value) for value in here.observed.events.sky_frame.to_world(*place))
        psf = read_psf_image(here.psf_images[row.id]).at(ra, dec)
    return psf.stamp(theta, phi, here.band.eff, pointing.roll), theta, phi


def _psf_file(here: _Surroundings, row: SourceRow, place: tuple[float, float]) -> bytes:
    stamp, theta, phi = _psf(here, row, place)
    cards: list[Card] = [
        *psf_cards(stamp, here.observed.events.sky_frame, *place),
        ("CONTENT", "PSF", "fraction of all photons in each pixel"),
        ("ENERGY", here.band.eff, "[keV]"),
        ("THETA", theta, "[arcmin] off-axis angle"),
        ("PHI", phi, "[deg] azimuth about the optical axis"),
        ("PSF_TOTL", stamp.fraction_inside, "fraction of all photons in the image"),
        *_cards(here),
    ]
    return image_bytes(stamp.image.astype(np.float32), header_of(cards))


def _region_files(
    here: _Surroundings, row: SourceRow, stored: Sequence[StoredRegion], style: str
) -> dict[str, bytes]:
    fields = [here.item]
    if style == "acis-extract":
        return {
            f"{entry.role}_region": region_text([entry], fields, (), "physical").encode("ascii")
            for entry in stored
            if entry.role in ("source", "background")
        }
    found = {"regions": region_text(stored, fields, (row,)).encode("ascii")}
    for entry in stored:
        if entry.role in ("source", "background"):
            table = region_table([FitsRegion(entry.region, role=entry.role, source=str(row.id))])
            table.header["OBS_ID"] = obs_id_of(here.item)
            found[f"{entry.role}_region"] = _fits([fits.PrimaryHDU(), table])
    return found


def _fits(hdus: list[fits.PrimaryHDU | fits.BinTableHDU]) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream, checksum=True)
    return stream.getvalue()
