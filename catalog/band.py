"""Energy bands: the Chandra Source Catalog's names and the user's own ``lo:hi:eff``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.errors import SettingsError


@dataclass(frozen=True, order=True)
class Band:
    """An energy band; an event belongs to it when lo <= E < hi.

    Attributes
    ----------
    name
        CSC name or a name of the user's.
    lo, hi
        Limits in keV.
    eff
        Effective (monochromatic) energy in keV, where the PSF fraction is taken and, in the `srcflux`
        recipe, the effective area.
    """

    name: str
    lo: float
    hi: float
    eff: float

    def __post_init__(self) -> None:
        if not 0 <= self.lo < self.hi:
            raise SettingsError("a band needs 0 <= lower < upper energy", self.name, "give keV as lo:hi:eff")
        if not self.lo <= self.eff <= self.hi:
            raise SettingsError(
                "the effective energy of a band lies inside it", self.name, "give keV as lo:hi:eff"
            )
        standard = CSC_BANDS.get(self.name) if "CSC_BANDS" in globals() else None
        if standard is not None and (self.lo, self.hi, self.eff) != (standard.lo, standard.hi, standard.eff):
            raise SettingsError(
                "a name of the Chandra Source Catalog keeps its limits", self.name, "choose another band name"
            )

    @property
    def suffix(self) -> str | None:
        """One-letter suffix of the CSC (b s m h u w), None for other bands."""
        return CSC_SUFFIX.get(self.name)


CSC_BANDS: dict[str, Band] = {
    band.name: band
    for band in (
        Band("broad", 0.5, 7.0, 2.3),
        Band("soft", 0.5, 1.2, 0.92),
        Band("medium", 1.2, 2.0, 1.56),
        Band("hard", 2.0, 7.0, 3.8),
        Band("ultrasoft", 0.2, 0.5, 0.4),
        Band("wide", 0.1, 10.0, 1.5),
    )
}
"""Bands of the Chandra Source Catalog (Evans et al. 2010, ApJS 189, 37, table 4); `wide` is HRC's."""

CSC_SUFFIX: dict[str, str] = {
    "broad": "b",
    "soft": "s",
    "medium": "m",
    "hard": "h",
    "ultrasoft": "u",
    "wide": "w",
}

ACIS_EXTRACT_BANDS: tuple[Band, ...] = (
    Band("0.5-8", 0.5, 8.0, 2.3),
    Band("0.5-2", 0.5, 2.0, 1.49),
    Band("2-8", 2.0, 8.0, 3.0),
    Band("0.5-1.7", 0.5, 1.7, 1.3),
    Band("1.7-2.8", 1.7, 2.8, 2.2),
    Band("2.8-8", 2.8, 8.0, 4.2),
    Band("0.5-1.5", 0.5, 1.5, 1.1),
    Band("1.5-2.5", 1.5, 2.5, 1.9),
    Band("2.5-8", 2.5, 8.0, 3.9),
    Band("0.5-1", 0.5, 1.0, 0.8),
    Band("1-2", 1.0, 2.0, 1.5),
    Band("2-4", 2.0, 4.0, 2.9),
    Band("4-6", 4.0, 6.0, 4.8),
    Band("6-8", 6.0, 8.0, 6.7),
    Band("0.5-7", 0.5, 7.0, 2.3),
    Band("2-7", 2.0, 7.0, 3.8),
)
"""Photometry bands of ACIS Extract in its order; the first three are its total, soft and hard (t, s, h)."""

BAND_SETS: dict[str, tuple[Band, ...]] = {
    "csc": (CSC_BANDS["soft"], CSC_BANDS["medium"], CSC_BANDS["hard"]),
    "tsh": ACIS_EXTRACT_BANDS[:3],
    "acis-extract": ACIS_EXTRACT_BANDS,
}
"""Words that stand for several bands in a recipe."""


def widest_band(bands: Sequence[Band]) -> int:
    """Return the place of the widest of some bands; of equally wide ones, the first."""
    return max(range(len(bands)), key=lambda i: bands[i].hi - bands[i].lo)


def parse_bands(text: str) -> tuple[Band, ...]:
    """Return the bands for a word of `BAND_SETS`, or the one that `parse_band` gives."""
    return BAND_SETS.get(text.strip().lower()) or (parse_band(text),)


def parse_band(text: str) -> Band:
    """Return the band for a CSC name, ``lo:hi:eff`` or ``name=lo:hi:eff`` (keV).

    Without a name the band is called ``lo-hi-eff``, so that bands differing only in eff keep apart.

    Raises
    ------
    SettingsError
        When the text is none of these.
    """
    name, _, numbers = text.rpartition("=")
    if not name and text.strip().lower() in CSC_BANDS:
        return CSC_BANDS[text.strip().lower()]
    try:
        lo, hi, eff = (float(part) for part in numbers.split(":"))
    except ValueError:
        known = ", ".join((*CSC_BANDS, *BAND_SETS))
        raise SettingsError(
            "not a band", text, f"give one of {known}, or lo:hi:eff in keV, such as 0.5:2:1.49"
        ) from None
    return Band(name.strip() or f"{lo:g}-{hi:g}-{eff:g}", lo, hi, eff)
