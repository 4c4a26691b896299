"""The user's response and PSF files of single sources in an observation, as the settings name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from catalog.calibration.hrc import CHIP_IDS as HRC_DETECTORS
from catalog.calibration.hrc import open_hrc_calibration
from catalog.calibration.provider import Calibration, with_area
from catalog.config import ObservationSettings
from catalog.errors import UnknownNameError
from catalog.schema.tables import Source
from catalog.stages.base.checksum import check_unchanged, file_sha256

if TYPE_CHECKING:
    from catalog.calibration.instrument_setup import InstrumentSetup
    from catalog.calibration.psf_image import PsfModel
    from catalog.measure.extract import Aperture
    from catalog.measure.observed_field import ObservedField

NamedFile = tuple[Path, str]


@dataclass(frozen=True)
class UserFiles:
    """Files of an observation (`source` None) or of one source in it, each as (path, SHA-256).

    Attributes
    ----------
    source
        Name of the source.
    arf, rmf, psf
        Effective area, redistribution, PSF image; None where there is none.
    area_table
        Table of effective areas of the observation, in place of that of all.
    expmaps
        Exposure maps of the observation by name of the band.
    detector
        ACIS, HRC-I or HRC-S: whose calibration the files of an observation replace pieces of.
    setup
        How ACIS stood and was run, where the calibration depends on it, and the date as decimal year.
    """

    source: str | None = None
    arf: NamedFile | None = None
    rmf: NamedFile | None = None
    psf: NamedFile | None = None
    area_table: NamedFile | None = None
    expmaps: tuple[tuple[str, NamedFile], ...] = ()
    detector: str = "ACIS"
    setup: tuple[InstrumentSetup | None, float] | None = None

    def response_key(self) -> list[str | None]:
        """What photometry depends on."""
        return [None if file is None else file[1] for file in (self.arf, self.rmf)]

    def calibration(self, base: Calibration) -> Calibration:
        """The calibration of the detector with these files."""
        if self.detector in HRC_DETECTORS:
            base = open_hrc_calibration(self.detector, base.psf)
        elif self.setup is not None:
            base = base.in_observation(*self.setup)
        if self.area_table is not None:
            from catalog.calibration.user_files import read_area_table

            base = with_area(base, read_area_table(self.area_table[0]))
        if self.arf is None and self.rmf is None:
            return base
        from catalog.calibration.user_response import with_responses

        arf, rmf = (None if file is None else file[0] for file in (self.arf, self.rmf))
        return with_responses(base, arf, rmf, of_source=self.source is not None)


def user_files(
    chosen: ObservationSettings,
    detector: str = "ACIS",
    pointing: tuple[str, float, float] | None = None,
    setup: tuple[InstrumentSetup | None, float] | None = None,
) -> tuple[UserFiles, ...]:
    """Files of the settings of an ObsID: first that of the observation, then those of sources.

    A source's files come on top of the observation's. All are read, so that one that cannot be used is
    refused before anything is computed; exposure maps must be of the ObsID and field of `pointing` (ObsID, RA
    and Dec in degrees).

    Raises
    ------
    MissingFileError, CalibrationError
        A file is not there, or cannot be used.
    """
    whole = UserFiles(
        None,
        _named(chosen.arf),
        _named(chosen.rmf),
        area_table=_named(chosen.area_table),
        expmaps=tuple((band, (path, file_sha256(path))) for band, path in sorted(chosen.expmap.items())),
        detector=detector,
        setup=setup,
    )
    for path in chosen.expmap.values():
        from catalog.calibration.exposure_image import read_exposure_image

        image = read_exposure_image(path)
        if pointing is not None:
            image.check_field(*pointing)
    _check_responses(chosen.arf, chosen.rmf)
    if chosen.area_table is not None:
        from catalog.calibration.user_files import read_area_table

        read_area_table(chosen.area_table)
    found = [whole]
    for name, files in sorted(chosen.source.items()):
        own = UserFiles(name, _named(files.arf), _named(files.rmf), _named(files.psf))
        _check_responses(files.arf, files.rmf)
        if own.psf is not None:
            from catalog.calibration.psf_image import read_psf_image

            read_psf_image(own.psf[0])
        found.append(own)
    return tuple(found)


def _check_responses(arf: Path | None, rmf: Path | None) -> None:
    # Most observations have none: the libraries that read them are not loaded for nothing.
    if arf is not None or rmf is not None:
        from catalog.calibration.user_response import check_responses

        check_responses(arf, rmf)


def _named(path: Path | None) -> NamedFile | None:
    return None if path is None else (path, file_sha256(path))


def source_psf(image: NamedFile, observed: ObservedField, aperture: Aperture) -> PsfModel:
    """The user's PSF image at the position of a source.

    Raises
    ------
    InputFileError, MissingFileError, CalibrationError
        It is not the image that was named, is gone, or does not hold the source.
    """
    from catalog.calibration.psf_image import read_psf_image

    path, sha256 = image
    check_unchanged(path, sha256, "a PSF image")
    ra, dec = observed.events.sky_frame.to_world(aperture.x, aperture.y)
    return read_psf_image(path).at(float(ra), float(dec))


def files_by_source(connection: Connection, files: tuple[UserFiles, ...]) -> dict[int, UserFiles]:
    """Files of sources by their row numbers; a source goes by its name, or by that in the user's list.

    Raises
    ------
    UnknownNameError
        A name is that of no source.
    """
    named = {item.source: item for item in files if item.source is not None}
    if not named:
        return {}
    rows = connection.execute(
        select(Source.id, Source.name, Source.label).where(Source.name.in_(named) | Source.label.in_(named))
    ).all()
    missing = sorted(set(named) - {row.name for row in rows} - {row.label for row in rows})
    if missing:
        raise UnknownNameError(
            f"no source is named {', '.join(missing)}",
            'srccat.toml, [observation."...".source]',
            "use names that `srccat sources list` shows",
        )
    return {row.id: named[row.name if row.name in named else row.label] for row in rows}
