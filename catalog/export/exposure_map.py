"""The exposure map of one observation and band as a FITS image with sky coordinates."""

from __future__ import annotations

from pathlib import Path

from astropy.io import fits

from catalog.band import CSC_BANDS, Band, parse_band
from catalog.errors import MissingFileError, SettingsError
from catalog.export.sky_image import Card, header_of, image_bytes, observation_cards, sky_cards
from catalog.export.writers import write_whole
from catalog.measure.exposure_map import ExposureMap, exposure_map
from catalog.measure.observed_field import ObservedField
from catalog.recipes.recipe import WIDE, Recipe
from catalog.stages.base.field_cache import field_key, observed_field
from catalog.stages.base.field_choice import find_field
from catalog.stages.base.project import Project
from catalog.stages.base.recipe_store import stored_recipes
from catalog.stages.base.work import FieldInput, field_inputs

_PIXEL_ARCSEC = 1.968

SUFFIXES = (".fits", ".fit", ".fits.gz")


def write_exposure_map(
    project: Project,
    path: Path,
    obs_id: str,
    band: str,
    *,
    recipe: str = "default",
    binning: int | None = None,
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
        Sky pixels per pixel of the image; those of 2 arcsec unless given (4 of ACIS, 15 of the HRC).

    Raises
    ------
    UnknownNameError
        UNKNOWN_OBSERVATION, UNKNOWN_RECIPE.
    SettingsError
        UNKNOWN_FORMAT for another suffix, NO_RESPONSE with a grating in place, BAND_NOT_MEASURED for any but
        the wide band of the HRC, or for a band that is none.
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
        chosen = find_field(field_inputs(connection, project.settings), obs_id)
        choices = stored_recipes(connection, [recipe])[0].recipe
    found = _band(chosen, choices, band)
    if chosen.grating not in ("NONE", ""):
        raise SettingsError(
            f"no area is known with grating {chosen.grating} in place",
            f"ObsID {obs_id}",
            "make the map of an observation without grating",
            code="NO_RESPONSE",
        )
    field = observed_field(field_key(chosen))
    calibration = chosen.calibration(project.calibration())
    scale = field.events.sky_frame.pixel_scale_arcsec
    image = exposure_map(
        field,
        found,
        calibration,
        project.spectrum(),
        weighting=choices.exposure.weighting,
        binning=round(_PIXEL_ARCSEC / scale) if binning is None else binning,
    )
    header = _header(project, chosen, field, image, found, choices)
    header["CALIB"] = calibration.identity.split(";")[0][:60]
    for part in calibration.identity.split(";"):
        header.add_history(f"calibration: {part.strip()}")
    content = image_bytes(image.values, header)
    if path.name.lower().endswith(".gz"):
        import gzip

        content = gzip.compress(content, mtime=0)
    write_whole(path, content)
    return image


def _band(chosen: FieldInput, recipe: Recipe, text: str) -> Band:
    bands = chosen.recipe_here(recipe).energy_bands
    found = next((band for band in bands if band.name == text), None) or parse_band(text)
    if not chosen.has_energies and found != CSC_BANDS[WIDE]:
        raise SettingsError(
            f"the HRC measures no energies, so it has no band {found.name}",
            chosen.path,
            f"give --band {WIDE}",
            code="BAND_NOT_MEASURED",
        )
    return found


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
    cards: list[Card] = [
        *sky_cards(frame, float(image.x[0]), float(image.y[0]), image.binning),
        ("BUNIT", "cm**2 s", "area x live time x share of time on good pixels"),
        ("CONTENT", "EXPMAP", ""),
        *observation_cards(observation),
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
    ]
    return header_of(cards)
