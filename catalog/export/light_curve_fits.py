"""Light curves as FITS files after OGIP/93-003: a RATE table, good times, and the other curves."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalog import __version__
from catalog.errors import MissingFileError, ProjectError
from catalog.export.stored_curves import ObservedCurves
from catalog.measure.light_curves import LightCurve, net_rate

MJDREF = 50814.0
"""Zero of Chandra's mission time, TT."""
_UNITS = {
    "time_min": "s",
    "time_max": "s",
    "time": "s",
    "exposure": "s",
    "rate": "count/s",
    "rate_error": "count/s",
    "rate_lo": "count/s",
    "rate_hi": "count/s",
    "counts": "count",
    "median_energy": "keV",
    "median_energy_error": "keV",
    "energy": "keV",
}
_OTHERS = ("grouped", "smoothed", "gregory_loredo", "blocks", "arrivals")


def file_stem(name: str) -> str:
    """Name of a source as it may stand in a file's name."""
    return re.sub(r"[^A-Za-z0-9+.-]+", "_", name).strip("_")


def write_light_curve(folder: Path, observed: ObservedCurves) -> Path:
    """Write the light curves of one source in one observation.

    Parameters
    ----------
    folder
        Where; it must be there.
    observed
        The light curves.

    Returns
    -------
    Path
        The file, named after source, observation and band.

    Raises
    ------
    MissingFileError, ProjectError
        No such folder, or it cannot be written.
    """
    if not folder.is_dir():
        raise MissingFileError("no such folder", folder, "create it first")
    path = (
        folder
        / f"{file_stem(observed.name)}_{observed.obs_id}_{observed.obi_num:03d}_{observed.band}_lc.fits"
    )
    hdus = fits.HDUList([fits.PrimaryHDU(), _rate_table(observed), _good_time_table(observed)])
    for product in _OTHERS:
        if product in observed.curves:
            hdus.append(_plain_table(product, observed.curves[product]))
    for hdu in hdus:
        _describe(hdu.header, observed)
    try:
        hdus.writeto(path, overwrite=True)
    except OSError as error:
        raise ProjectError("the file cannot be written", path, "check the rights of the folder") from error
    return path


def _rate_table(observed: ObservedCurves) -> fits.BinTableHDU:
    curve = observed.curves["binned"]
    width = curve["time_max"] - curve["time_min"]
    net, error, background = net_rate(curve)
    # Bins without exposure are gaps: they are left out, and the good times say so.
    seen = curve["exposure"] > 0
    table: dict[str, tuple[NDArray[np.float64], str]] = {
        "TIME": (0.5 * (curve["time_min"] + curve["time_max"]), "s"),
        "RATE": (net, "count/s"),
        "ERROR": (error, "count/s"),
        "BACKV": (background, "count/s"),
        "COUNTS": (curve["counts"], "count"),
        "BACKC": (curve["counts_bkg"], "count"),
        # Rates are at full exposure already. There is no FRACEXP beside them: readers disagree whether
        # it was applied, and some divide by it once more.
        "EXPOSURE": (curve["exposure"], "s"),
        "ONTIME": (curve["ontime"], "s"),
        "BKGSCALE": (curve["bkg_scale"], ""),
    }
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, "D", unit=unit or None, array=values[seen])
            for name, (values, unit) in table.items()
        ],
        name="RATE",
    )
    header = hdu.header
    header["TIMEDEL"] = (float(width[0]), "[s] length of a bin")
    header["TIMEPIXR"] = (0.5, "TIME is the middle of a bin")
    header["BACKAPP"] = (True, "background is subtracted")
    header["DEADAPP"] = (False, "no correction for dead time")
    header["VIGNAPP"] = (False, "no correction for vignetting")
    for key, value in (("HDUCLAS1", "LIGHTCURVE"), ("HDUCLAS2", "NET"), ("HDUCLAS3", "RATE")):
        header[key] = value
    header["E_MIN"] = (observed.energies[0], "[keV] lower energy")
    header["E_MAX"] = (observed.energies[1], "[keV] upper energy")
    header["E_UNIT"] = "keV"
    for key, column in (("VARINDEX", "var_index"), ("ODDS", "gl_log10_odds"), ("PROB", "var_prob")):
        if observed.tests.get(column) is not None:
            header[key] = (observed.tests[column], "Gregory-Loredo" if key != "ODDS" else "log10 odds")
    return hdu


def _good_time_table(observed: ObservedCurves) -> fits.BinTableHDU:
    times = observed.good_times
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column("START", "D", unit="s", array=times.start),
            fits.Column("STOP", "D", unit="s", array=times.stop),
        ],
        name="GTI",
    )
    hdu.header["HDUCLAS1"], hdu.header["HDUCLAS2"] = "GTI", "STANDARD"
    return hdu


def _plain_table(product: str, curve: LightCurve) -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns(
        [fits.Column(name.upper(), "D", unit=_UNITS.get(name), array=curve[name]) for name in curve.columns],
        name=product.upper(),
    )


def _describe(header: fits.Header, observed: ObservedCurves) -> None:
    header["HDUCLASS"] = "OGIP"
    header["ORIGIN"], header["CREATOR"] = "srccat", f"srccat {__version__}"
    header["TELESCOP"], header["INSTRUME"] = "CHANDRA", "ACIS"
    header["DETNAM"], header["OBS_ID"] = observed.detector, observed.obs_id
    header["OBJECT"] = observed.name
    header["RA_OBJ"], header["DEC_OBJ"] = observed.ra, observed.dec
    header["RADESYS"] = "ICRS"
    header["TIMESYS"], header["TIMEUNIT"] = "TT", "s"
    header["MJDREF"], header["TIMEZERO"] = MJDREF, 0.0
    header["TSTART"], header["TSTOP"] = observed.tstart, observed.tstop
    header["DATE-OBS"] = observed.date_obs
    header["RECIPE"], header["BAND"] = observed.recipe, observed.band
