"""Spectra as OGIP files: PHA of source and background, ARF with and without the PSF fraction, RMF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from catalog import __version__
from catalog.calibration.arf_file import AncillaryResponse, write_arf
from catalog.calibration.pha_file import PhaFile, write_pha
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.rmf_file import write_rmf
from catalog.errors import MissingFileError, ProjectError
from catalog.export.light_curve_fits import MJDREF, file_stem
from catalog.measure.combined_spectrum import BackgroundRule, combine_spectra
from catalog.measure.spectra import ExtractedSpectrum
from catalog.stages.steps.stored_spectra import StoredSpectrum
from catalog.stats.spectral_grouping import GroupRule, group_channels

FIT_CHANNELS = (34, 548)
"""Channels, from 0, between which signal to noise is counted: 0.5 to 8 keV."""


@dataclass(frozen=True, eq=False)
class NamedSpectrum:
    """A spectrum to write.

    Attributes
    ----------
    stem
        Beginning of the files' names.
    keywords
        Source and observation, for all headers.
    spectrum
        What is written.
    """

    stem: str
    keywords: dict[str, Any]
    spectrum: ExtractedSpectrum


def observed_spectrum(stored: StoredSpectrum) -> NamedSpectrum:
    """The spectrum of one observation."""
    keywords = {
        **_source_keywords(stored),
        "OBS_ID": stored.obs_id,
        "OBI_NUM": stored.obi_num,
        "DETNAM": stored.detector,
        "GRATING": stored.grating,
        "DATE-OBS": stored.date_obs,
        "TIMESYS": "TT",
        "MJDREF": MJDREF,
        "TSTART": stored.tstart,
        "TSTOP": stored.tstop,
        "RA_PNT": stored.ra_pnt,
        "DEC_PNT": stored.dec_pnt,
        "ROLL_PNT": stored.roll_pnt,
        "CCD_ID": stored.chip_id,
        "THETA": stored.theta,
        "PHI": stored.phi,
        "FLAGS": stored.flags,
    }
    return NamedSpectrum(
        f"{file_stem(stored.name)}_{stored.obs_id}_{stored.obi_num:03d}", keywords, stored.spectrum
    )


def merged_spectrum(members: Sequence[StoredSpectrum], rule: BackgroundRule) -> NamedSpectrum:
    """The combined spectrum of the observations of one source (at least one)."""
    first = members[0]
    keywords = {
        **_source_keywords(first),
        "OBS_ID": ",".join(dict.fromkeys(member.obs_id for member in members))[:68],
        "N_OBS": len(members),
        "DETNAM": first.detector,
        "GRATING": first.grating,
        "DATE-OBS": first.date_obs,
        "BKGRULE": rule,
    }
    combined = combine_spectra([member.spectrum for member in members], rule)
    return NamedSpectrum(f"{file_stem(first.name)}_merged", keywords, combined)


def used_in_merge(stored: Sequence[StoredSpectrum]) -> list[StoredSpectrum]:
    """Leave out the observations that the merge for photometry leaves out; without a merge, all are used."""
    return [item for item in stored if item.merged is not False]


def _source_keywords(stored: StoredSpectrum) -> dict[str, Any]:
    return {
        "OBJECT": stored.name,
        "RA_OBJ": stored.ra,
        "DEC_OBJ": stored.dec,
        "RADESYS": "ICRS",
        "ORIGIN": "srccat",
        "CREATOR": f"srccat {__version__}",
    }


@dataclass
class OgipFolder:
    """A folder that spectra are written into; each redistribution once, whoever shares it.

    Attributes
    ----------
    path
        The folder; it must be there.
    rule
        Grouping of the source spectra.
    band
        Channels that a grouping by signal to noise counts, from 0: first, and the one after the last.
    written
        Number of files.
    """

    path: Path
    rule: GroupRule = field(default_factory=GroupRule)
    band: tuple[int, int] = FIT_CHANNELS
    written: int = 0
    _matrices: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise MissingFileError("no such folder", self.path, "create it first")

    def write(self, item: NamedSpectrum) -> Path:
        """Write the files of one spectrum and return the path of the source spectrum.

        ``STEM.pi`` names the background ``STEM_bkg.pi``, ``STEM.arf`` (with the PSF fraction in it) and the
        RMF; ``STEM_nopsf.arf`` is the area without the PSF fraction. Where the background has a response, it
        is ``STEM_bkg.arf``. The counts are those of the events; the keyword NBRCNTS says how many of them are
        expected to be of neighbours. Files of the same names are replaced.

        Raises
        ------
        ProjectError
            The folder cannot be written.
        """
        try:
            source = self._source(item)
            self._background(item)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ProjectError(
                f"spectra cannot be written ({reason})", self.path, "check rights and space"
            ) from error
        return source

    def _source(self, item: NamedSpectrum) -> Path:
        spectrum, stem = item.spectrum, item.stem
        groups = None
        if self.rule.kind != "none":
            groups = group_channels(
                self.rule, spectrum.counts, spectrum.background, spectrum.bkg_ratio, self.band
            )
        keywords = item.keywords
        if spectrum.neighbours is not None:
            keywords = {**keywords, "NBRCNTS": round(float(spectrum.neighbours.sum()), 3)}
        file = PhaFile(
            spectrum.counts,
            spectrum.livetime,
            grouping=None if groups is None else groups.grouping,
            quality=None if groups is None else groups.quality,
            keywords=keywords,
            background=None if spectrum.background is None else f"{stem}_bkg.pi",
        )
        if spectrum.response is not None:
            rmf = self._rmf(spectrum.response.redistribution)
            self._arf(f"{stem}.arf", spectrum.response.arf(), item, rmf)
            self._arf(f"{stem}_nopsf.arf", spectrum.response.arf(psf_corrected=False), item, rmf)
            file = replace(file, arf=f"{stem}.arf", rmf=rmf)
        self.written += 1
        return write_pha(self.path / f"{stem}.pi", file, overwrite=True)

    def _background(self, item: NamedSpectrum) -> None:
        spectrum, name = item.spectrum, f"{item.stem}_bkg"
        if spectrum.background is None or spectrum.bkg_ratio is None:
            return
        file = PhaFile(spectrum.background, spectrum.livetime, spectrum.bkg_ratio, keywords=item.keywords)
        if spectrum.background_response is not None:
            rmf = self._rmf(spectrum.background_response.redistribution)
            self._arf(f"{name}.arf", spectrum.background_response.arf(psf_corrected=False), item, rmf)
            file = replace(file, arf=f"{name}.arf", rmf=rmf)
        self.written += 1
        write_pha(self.path / f"{name}.pi", file, is_background=True, overwrite=True)

    def _arf(self, name: str, arf: AncillaryResponse, item: NamedSpectrum, rmf: str) -> None:
        own = {"EXPOSURE": item.spectrum.livetime, "RESPFILE": rmf}
        self.written += 1
        write_arf(
            self.path / name,
            replace(arf, keywords={**item.keywords, **arf.keywords, **own}),
            overwrite=True,
        )

    def _rmf(self, matrix: Redistribution) -> str:
        """Name of the file of a redistribution, written the first time."""
        digest = matrix.identity.split()[-1]
        if digest not in self._matrices:
            name = f"srccat_{digest}.rmf"
            # Nothing is cut off: folding through the file gives what folding through the catalog gives.
            write_rmf(self.path / name, matrix, threshold=0.0, overwrite=True)
            self._matrices[digest] = name
            self.written += 1
        return self._matrices[digest]
