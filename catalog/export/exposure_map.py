"""The exposure map of one observation and band as a FITS image with sky coordinates."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from astropy.io import fits

from catalog import __version__
from catalog.band import Band, parse_band
from catalog.errors import MissingFileError, SettingsError, UnknownNameError
from catalog.export.writers import write_whole
from catalog.measure.exposure_map import ExposureMap, exposure_map
from catalog.measure.observed_field import ObservedField
from catalog.recipes.recipe import Recipe
from catalog.stages.field_cache import field_key, observed_field
from catalog.stages.project import Project
from catalog.stages.recipe_store import stored_recipes
from catalog.stages.work import FieldInput, field_inputs

_MISSION_START_MJD = 50814.0

SUFFIXES = (".fits", ".fit", ".fits.gz")


def write_exposure_map(
    project: Project, path: Path, obs_id: str, band: str, *, recipe: str = "default", binning: int = 4
) -> ExposureMap:
    """Compute and write an exposure map, and return it.

    Parameters
    ----------
    project
        The project.
    path
        FITS file; one of that name is replaced.
    obs_id
        ObsID, with or without leading zeros.
    band
        A band of the recipe, of the Chandra Source Catalog, or ``lo:hi:eff``.
    recipe
        Recipe whose weighting of the area (and bands) is taken.
    binning
        Sky pixels per pixel of the image.

    Raises
    ------
    UnknownNameError
        UNKNOWN_OBSERVATION, UNKNOWN_RECIPE.
    SettingsError
        UNKNOWN_FORMAT for another suffix, NO_RESPONSE with a grating in place, or for a band that is none.
    MissingFileError
        The folder does not exist.
    """
    if not path.name.lower().endswith(SUFFIXES):
        raise SettingsError(
            "an exposure map is a FITS image", path, "give a .fits name", code="UNKNOWN_FORMAT"
        )
    if not path.parent.is_dir():
        raise MissingFileError("no such folder", path.parent, "create it first")
    with project.store.read() as connection:
        chosen = _observation(field_inputs(connection, project.settings), obs_id)
        choices = stored_recipes(connection, [recipe])[0].recipe
    found = _band(choices, band)
    if chosen.grating not in ("NONE", ""):
        raise SettingsError(
            f"no area is known with grating {chosen.grating} in place",
            f"ObsID {obs_id}",
            "make the map of an observation without grating",
            code="NO_RESPONSE",
        )
    field = observed_field(field_key(chosen))
    calibration = project.calibration()
    image = exposure_map(
        field,
        found,
        calibration,
        project.spectrum(),
        weighting=choices.exposure.weighting,
        binning=binning,
    )
    header = _header(project, chosen, field, image, found, choices)
    header["CALIB"] = calibration.identity.split(";")[0][:60]
    for part in calibration.identity.split(";"):
        header.add_history(f"calibration: {part.strip()}")
    stream = io.BytesIO()
    fits.PrimaryHDU(image.values, header).writeto(stream, checksum=True)
    content = stream.getvalue()
    if path.name.lower().endswith(".gz"):
        import gzip

        content = gzip.compress(content, mtime=0)
    write_whole(path, content)
    return image


def _observation(inputs: list[FieldInput], obs_id: str) -> FieldInput:
    wanted = obs_id.strip().lstrip("0") or "0"
    for item in inputs:
        if item.scope.split("/")[0] == wanted:
            return item
    known = ", ".join(dict.fromkeys(item.scope.split("/")[0] for item in inputs))
    todo = f"choose one of {known}" if known else "add it with `srccat add observations`"
    raise UnknownNameError("no such observation in this catalog", obs_id, todo, code="UNKNOWN_OBSERVATION")


def _band(recipe: Recipe, text: str) -> Band:
    return next((band for band in recipe.energy_bands if band.name == text), None) or parse_band(text)


def _header(
    project: Project,
    chosen: FieldInput,
    field: ObservedField,
    image: ExposureMap,
    band: Band,
    recipe: Recipe,
) -> fits.Header:
    frame, observation = field.events.sky_frame, field.events.header
    spectrum = project.spectrum()
    header = fits.Header()
    cards: list[tuple[str, object, str]] = [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CRPIX1", (frame.x_ref - float(image.x[0])) / image.binning + 1.0, ""),
        ("CRPIX2", (frame.y_ref - float(image.y[0])) / image.binning + 1.0, ""),
        ("CRVAL1", frame.ra, "[deg]"),
        ("CRVAL2", frame.dec, "[deg]"),
        ("CDELT1", frame.dx * image.binning, "[deg]"),
        ("CDELT2", frame.dy * image.binning, "[deg]"),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("RADESYS", "ICRS", ""),
        ("WCSNAMEP", "PHYSICAL", "sky pixels of the event list"),
        ("CTYPE1P", "X", ""),
        ("CTYPE2P", "Y", ""),
        ("CRPIX1P", 1.0, ""),
        ("CRPIX2P", 1.0, ""),
        ("CRVAL1P", float(image.x[0]), ""),
        ("CRVAL2P", float(image.y[0]), ""),
        ("CDELT1P", float(image.binning), ""),
        ("CDELT2P", float(image.binning), ""),
        ("BUNIT", "cm**2 s", "area x live time x share of time on good pixels"),
        ("CONTENT", "EXPMAP", ""),
        ("TELESCOP", observation.telescope, ""),
        ("INSTRUME", observation.instrument, ""),
        ("OBS_ID", observation.obs_id, ""),
        ("OBJECT", observation.object or "", ""),
        ("TIMESYS", "TT", ""),
        ("DATE-OBS", observation.date_obs or "", ""),
        ("MJD-OBS", _MISSION_START_MJD + observation.tstart / 86400.0, ""),
        ("RA_PNT", observation.ra_pnt, "[deg] mean pointing"),
        ("DEC_PNT", observation.dec_pnt, "[deg] mean pointing"),
        ("ROLL_PNT", observation.roll_pnt, "[deg] mean roll"),
        ("LIVETIME", field.live_time, "[s] longest live time of a chip"),
        ("BAND", band.name, ""),
        ("ENERG_LO", band.lo, "[keV]"),
        ("ENERG_HI", band.hi, "[keV]"),
        ("ENERG_EF", band.eff, "[keV] effective energy"),
        ("WEIGHTNG", recipe.exposure.weighting, "of the area over the band"),
        ("RECIPE", recipe.name, ""),
        ("PHOINDEX", spectrum.photon_index, "reference spectrum: photon index"),
        ("NH", spectrum.nh, "[1e22 cm-2] reference spectrum"),
        ("ASPECT", field.aspect.source, "asol, or rebuilt from the events"),
        ("EVTFILE", chosen.path.name, ""),
        ("BPIXFILE", chosen.bad_pixels[0].name if chosen.bad_pixels else "NONE", ""),
        ("MASKFILE", chosen.mask[0].name if chosen.mask else "NONE", ""),
        ("CREATOR", f"srccat {__version__}", ""),
    ]
    for name, value, comment in cards:
        # Whole numbers of numpy are no header values.
        header[name] = (value.item() if isinstance(value, np.generic) else value, comment)
    return header
