"""Reading and writing an OGIP ancillary response file (George et al. 1998, OGIP memo CAL/GEN/92-002a)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import CalibrationError, MissingFileError

_WANTED = "give an OGIP ARF with extension SPECRESP and columns ENERG_LO, ENERG_HI, SPECRESP"
_SAME_GRID = 1e-4


@dataclass(frozen=True, eq=False)
class AncillaryResponse:
    """Effective area of one extraction against true energy.

    Attributes
    ----------
    energy_lo, energy_hi
        Limits of the true-energy bins in keV, shape (n_energy,), ascending.
    area
        cm2, shape (n_energy,).
    fractional_exposure
        FRACEXPO: the share of the dither on good pixels, which `area` includes; 1 where the file says
        nothing.
    keywords
        Others of interest: OBS_ID, EXPOSURE and the like.
    name
        Where it comes from.
    """

    energy_lo: NDArray[np.float64]
    energy_hi: NDArray[np.float64]
    area: NDArray[np.float64] = field(repr=False)
    fractional_exposure: float = 1.0
    keywords: Mapping[str, Any] = field(default_factory=dict)
    name: str = "arf"

    @property
    def energy(self) -> NDArray[np.float64]:
        """Centres of the bins, keV."""
        return 0.5 * (self.energy_lo + self.energy_hi)


def read_arf(path: str | Path) -> AncillaryResponse:
    """Read an ARF, gzipped or not.

    Raises
    ------
    MissingFileError
        When there is no such file.
    CalibrationError
        When it is no ARF, or its energies or areas make no sense (code CALIBRATION_FILE).
    """
    from astropy.io import fits

    path = Path(path)
    if not path.is_file():
        raise MissingFileError("no such effective area file", path, "give the path of an OGIP ARF")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(path) as hdus:
                return _from_hdus(hdus, path)
    except (OSError, KeyError, IndexError, TypeError) as error:
        raise CalibrationError(
            f"not an effective area file ({error})", path, _WANTED, code="CALIBRATION_FILE"
        ) from error


def _from_hdus(hdus: Any, path: Path) -> AncillaryResponse:
    table = next((hdu for hdu in hdus[1:] if hdu.name.upper() == "SPECRESP"), None)
    if table is None:
        raise CalibrationError("no SPECRESP extension", path, _WANTED, code="CALIBRATION_FILE")
    low, high, area = (
        np.asarray(table.data[name], dtype=float) for name in ("ENERG_LO", "ENERG_HI", "SPECRESP")
    )
    ascending = low.size > 1 and (high > low).all() and (np.diff(low) > 0).all() and low[0] >= 0
    if not ascending or not np.isfinite(area).all() or (area < 0).any():
        raise CalibrationError(
            "energies do not ascend, or areas are negative or no numbers",
            path,
            _WANTED,
            code="CALIBRATION_FILE",
        )
    header = table.header
    unit = str(table.columns["SPECRESP"].unit or "cm**2").replace(" ", "")
    if unit.lower() not in ("cm2", "cm^2", "cm**2"):
        raise CalibrationError(f"areas in {unit}, not cm2", path, _WANTED, code="CALIBRATION_FILE")
    share = header.get("FRACEXPO", 1.0)
    kept = ("OBS_ID", "EXPOSURE", "INSTRUME", "DETNAM", "GRATING", "DATE-OBS", "OBJECT")
    return AncillaryResponse(
        energy_lo=low,
        energy_hi=high,
        area=area,
        fractional_exposure=float(share) if isinstance(share, int | float) and share > 0 else 1.0,
        keywords={name: header[name] for name in kept if header.get(name) not in (None, "")},
        name=path.name,
    )


def check_grid(
    arf: AncillaryResponse, energy_lo: NDArray[np.float64], energy_hi: NDArray[np.float64], where: str
) -> None:
    """Refuse an ARF whose energies are not those of the redistribution it is used with.

    Raises
    ------
    CalibrationError
        Code CALIBRATION_GRID, naming both numbers of bins and ranges.
    """
    same = arf.energy_lo.size == energy_lo.size
    if same:
        step = float(np.median(energy_hi - energy_lo))
        same = bool(
            np.abs(arf.energy_lo - energy_lo).max() < _SAME_GRID + 0.05 * step
            and np.abs(arf.energy_hi - energy_hi).max() < _SAME_GRID + 0.05 * step
        )
    if not same:
        raise CalibrationError(
            f"{arf.energy_lo.size} energies from {arf.energy_lo[0]:g} to {arf.energy_hi[-1]:g} keV, the "
            f"redistribution has {energy_lo.size} from {energy_lo[0]:g} to {energy_hi[-1]:g} keV",
            f"{arf.name} with {where}",
            "make both on the same energy grid",
            code="CALIBRATION_GRID",
        )


def write_arf(path: str | Path, arf: AncillaryResponse, *, overwrite: bool = False) -> Path:
    """Write an ARF and return its path.

    The keywords of the OGIP standard are set; `arf.keywords` come on top, FRACEXPO from its attribute.
    """
    from astropy.io import fits

    columns = [
        fits.Column("ENERG_LO", "E", unit="keV", array=arf.energy_lo),
        fits.Column("ENERG_HI", "E", unit="keV", array=arf.energy_hi),
        fits.Column("SPECRESP", "E", unit="cm**2", array=arf.area),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SPECRESP")
    fixed = {
        "TELESCOP": "CHANDRA",
        "INSTRUME": "ACIS",
        "FILTER": "NONE",
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "RESPONSE",
        "HDUCLAS2": "SPECRESP",
        "HDUVERS": "1.1.0",
        "ARFVERSN": "1992a",
        "FRACEXPO": arf.fractional_exposure,
        "CREATOR": "srccat",
    }
    table.header.extend({**fixed, **arf.keywords}.items(), end=True)
    target = Path(path)
    hdus = fits.HDUList([fits.PrimaryHDU(), table])
    hdus.writeto(target, output_verify="ignore", overwrite=overwrite)
    return target
