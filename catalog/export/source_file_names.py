"""Names of the files of one source in one observation, in the words of three systems."""

from __future__ import annotations

from dataclasses import dataclass

STYLES = ("srccat", "srcflux", "acis-extract")
KINDS = (
    "source_events",
    "background_events",
    "neighbourhood_events",
    "counts",
    "exposure",
    "flux",
    "psf",
    "source_region",
    "background_region",
    "regions",
)

_OWN = {
    "source_events": "source_events.fits",
    "background_events": "background_events.fits",
    "neighbourhood_events": "neighbourhood_events.fits",
    "counts": "counts_{band}.fits",
    "exposure": "exposure_{band}.fits",
    "flux": "flux_{band}.fits",
    "psf": "psf_{band}.fits",
    "source_region": "source_region.fits",
    "background_region": "background_region.fits",
    "regions": "regions.reg",
}
# srcflux writes no event lists and no ds9 regions: those names continue its pattern.
_SRCFLUX = {
    "source_events": "src_evt.fits",
    "background_events": "bkg_evt.fits",
    "neighbourhood_events": "evt.fits",
    "counts": "{band}_thresh.img",
    "exposure": "{band}_thresh.expmap",
    "flux": "{band}_flux.img",
    "psf": "{band}_model.psf",
    "source_region": "srcreg.fits",
    "background_region": "bkgreg.fits",
    "regions": "regions.reg",
}
# ACIS Extract has regions in ds9 text alone, and no flux image.
_ACIS_EXTRACT = {
    "source_events": "source.evt",
    "background_events": "background.evt",
    "neighbourhood_events": "neighborhood.evt",
    "counts": "neighborhood.img",
    "exposure": "source.emap",
    "flux": "neighborhood.flux",
    "psf": "source.psf",
    "source_region": "extract.reg",
    "background_region": "background.reg",
}


@dataclass(frozen=True)
class FileNames:
    """How the files of one source in one observation are called.

    Attributes
    ----------
    style
        One of `STYLES`.
    source_id, name
        Number and name of the source.
    obs_id
        ObsID.
    place
        Place of the observation among those that are written, from 1.
    number
        How many those are.
    band
        Name of the band of images.
    merged
        Whether they are those of all observations together; ObsID and place do not matter then.
    """

    style: str
    source_id: int
    name: str
    obs_id: str
    place: int
    number: int
    band: str
    merged: bool = False

    def path(self, kind: str) -> str | None:
        """Path of a file below the folder asked for; None for a kind that the system does not have."""
        coordinates = self.name.split()[-1].removeprefix("J")
        if self.style == "srcflux":
            several = f"obi{self.place:03d}_" if self.number > 1 and not self.merged else ""
            return f"{several}{self.source_id:04d}_{_SRCFLUX[kind].format(band=self.band)}"
        if self.style == "acis-extract":
            known = _ACIS_EXTRACT.get(kind)
            below = "" if self.merged else f"{self.obs_id}/"
            return None if known is None else f"{coordinates}/{below}{known}"
        return (
            f"J{coordinates}/{'merged' if self.merged else self.obs_id}/{_OWN[kind].format(band=self.band)}"
        )
