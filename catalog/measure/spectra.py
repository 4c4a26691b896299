"""Spectra of one extraction: counts by PI channel in source aperture and background region, and responses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.apertures.region import Region
from catalog.calibration.arf_file import AncillaryResponse
from catalog.calibration.provider import Calibration
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.psf_image import PsfModel
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.user_response import PI_CHANNELS
from catalog.measure.arf import SkyPlace, extraction_arf, source_fractions, weighted_arf
from catalog.measure.channel_photometry import channel_histogram
from catalog.measure.exposure_fraction import area_mean
from catalog.measure.extract import Aperture, good_map_about
from catalog.measure.observed_field import ObservedField

Array = NDArray[np.float64]

_PI_WIDTH = 0.0146
_WEIGHT_BAND = (0.3, 7.0)
"""keV: events that serve as places of an extended region or a background."""
_EXTENDED = 2.0
"""Radii of 99 % of the PSF beyond which a region drawn by a person is that of an extended source."""


@dataclass(frozen=True, eq=False)
class SpectralResponse:
    """What turns a photon spectrum into counts by channel.

    Attributes
    ----------
    redistribution
        Redistribution over channels; its true-energy bins are those of the areas.
    area
        Effective area in cm2, shape (n_energy,): with the time-averaged fraction on good pixels in it,
        without the PSF fraction and without dead time.
    psf_frac
        Fraction of a point source's photons in the aperture, shape (n_energy,); 1 for a background and for
        an extended source.
    good_frac
        PSF-weighted fraction of time on good pixels (FRACEXPO).
    """

    redistribution: Redistribution
    area: Array = field(repr=False)
    psf_frac: Array = field(repr=False)
    good_frac: float = 1.0

    @property
    def psf_area(self) -> Array:
        """Area times PSF fraction: with it a fit gives the flux of the whole source."""
        return self.area * self.psf_frac

    def arf(self, *, psf_corrected: bool = True) -> AncillaryResponse:
        """Return the area as an ARF, with the PSF fraction in it or not."""
        return AncillaryResponse(
            energy_lo=self.redistribution.energy_lo,
            energy_hi=self.redistribution.energy_hi,
            area=self.psf_area if psf_corrected else self.area,
            fractional_exposure=self.good_frac,
            keywords={"PSFCORR": psf_corrected},
            name="extraction",
        )

    def fold(self, photons: ArrayLike, livetime: float, *, psf_corrected: bool = True) -> Array:
        """Expected counts by channel.

        Parameters
        ----------
        photons
            Photon flux of each true-energy bin, photon cm-2 s-1, shape (..., n_energy).
        livetime
            s.
        psf_corrected
            Whether only the part of a point source that falls into the aperture counts.

        Returns
        -------
        ndarray
            Shape (..., n_channel).
        """
        area = self.psf_area if psf_corrected else self.area
        return self.redistribution.fold(np.asarray(photons, dtype=float) * area * livetime)


@dataclass(frozen=True, eq=False)
class ExtractedSpectrum:
    """Source and background spectrum of one extraction, or of several combined.

    Attributes
    ----------
    counts
        Counts by channel in the source aperture, shape (n_channel,), from channel 1. Whole numbers.
    background
        Counts by channel in the background region, shape (n_channel,); None without a background region.
        Whole numbers but for combined spectra.
    livetime
        Live time in s, of both: EXPOSURE.
    bkg_ratio
        r of the photometry: background counts expected in the background region over those in the aperture;
        None without a background region. The background of the aperture is `background` / r: BACKSCAL is 1
        for the source, r for the background.
    response
        None where no area applies: a grating without an ARF of the user's.
    background_response
        Response of the background region; None where none was asked for.
    neighbours
        Counts that neighbours send into the aperture by channel, beyond what the scaled background has of
        them, shape (n_channel,); None where there are none.
    """

    counts: Array = field(repr=False)
    background: Array | None = field(repr=False)
    livetime: float
    bkg_ratio: float | None
    response: SpectralResponse | None
    background_response: SpectralResponse | None = None
    neighbours: Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.background is None) != (self.bkg_ratio is None):
            raise ValueError("a background comes with its ratio, or there is neither")

    @property
    def net(self) -> Array:
        """Counts less the background of the aperture and the light of neighbours, by channel."""
        net = self.counts if self.neighbours is None else self.counts - self.neighbours
        if self.background is None or self.bkg_ratio is None:
            return net
        return net - self.background / self.bkg_ratio


@dataclass(frozen=True)
class SpectrumChoices:
    """What a spectrum is extracted with.

    Attributes
    ----------
    decimal_year
        Date of the observation.
    livetime
        s, as in the photometry.
    bkg_ratio
        r of the photometry; None without one.
    with_area
        Whether effective areas apply.
    bkg_response
        Whether the background gets a response of its own.
    drawn
        Whether a person drew the source region.
    """

    decimal_year: float
    livetime: float
    bkg_ratio: float | None
    with_area: bool = True
    bkg_response: bool = False
    drawn: bool = False


def extract_spectrum(
    observed: ObservedField,
    aperture: Aperture,
    calibration: Calibration,
    psf: PsfModel,
    choices: SpectrumChoices,
) -> ExtractedSpectrum:
    """Extract the spectra of one source in one observation.

    Parameters
    ----------
    observed
        The observation.
    aperture
        Regions of the source.
    calibration
        Areas and redistributions.
    psf
        Point spread functions with the blur of the data.
    choices
        Date, live time, background.

    Notes
    -----
    A source is taken as a point at its position. A region that a person drew and that reaches farther than
    twice the radius of 99 % of the PSF is that of an extended source: its area is the mean over its events.
    """
    source = region_events(observed, aperture.source)
    background = region_events(observed, aperture.background)
    has_background = choices.bkg_ratio is not None and choices.bkg_ratio > 0
    spectrum = ExtractedSpectrum(
        counts=pi_histogram(observed, source),
        background=pi_histogram(observed, background) if has_background else None,
        livetime=choices.livetime,
        bkg_ratio=choices.bkg_ratio if has_background else None,
        response=None,
    )
    if not choices.with_area:
        return spectrum
    if choices.drawn and is_extended(observed, aperture, psf):
        response = _mean_response(observed, aperture, aperture.source, source, calibration, choices)
    else:
        response = _point_response(observed, aperture, calibration, psf, choices)
    beside = None
    if choices.bkg_response and has_background:
        beside = _mean_response(observed, aperture, aperture.background, background, calibration, choices)
    return replace(spectrum, response=response, background_response=beside)


def region_events(observed: ObservedField, region: Region) -> NDArray[np.intp]:
    """Events in a region, as numbers in the event list."""
    near = observed.events_near(*region.shape.reach)
    return near[region.contains(observed.events.x[near], observed.events.y[near])]


def pi_histogram(observed: ObservedField, chosen: NDArray[np.intp]) -> Array:
    """Counts of events by PI channel, 1 to 1024; from energies where the list has no PI.

    Energies above the last channel belong to it, as in PI.
    """
    events = observed.events
    if events.pi is None:
        edges = _PI_WIDTH * np.arange(PI_CHANNELS, dtype=float)
        return np.asarray(channel_histogram([events.energy[chosen].astype(np.float32)], edges)[0])
    channel = np.minimum(events.pi[chosen], PI_CHANNELS)
    return np.bincount(channel[channel > 0] - 1, minlength=PI_CHANNELS).astype(float)


def channel_energies() -> Array:
    """Middle of each PI channel, keV, shape (1024,)."""
    return np.asarray(_PI_WIDTH * (np.arange(PI_CHANNELS) + 0.5))


def is_extended(observed: ObservedField, aperture: Aperture, psf: PsfModel) -> bool:
    """Tell whether a source region reaches far beyond the PSF."""
    if not isinstance(psf, PsfLibrary):
        return False
    x, y, reach = aperture.source.shape.reach
    farthest = (
        reach + np.hypot(x - aperture.x, y - aperture.y)
    ) * observed.events.sky_frame.pixel_scale_arcsec
    return bool(farthest > _EXTENDED * float(psf.radius(aperture.theta, aperture.phi, 1.5, 0.99)))


def _point_response(
    observed: ObservedField,
    aperture: Aperture,
    calibration: Calibration,
    psf: PsfModel,
    choices: SpectrumChoices,
) -> SpectralResponse:
    matrix = calibration.redistribution(aperture.chip_id)
    place = SkyPlace(
        aperture.x,
        aperture.y,
        aperture.theta,
        aperture.phi,
        observed.field_of_view.pointing.roll,
        observed.events.sky_frame.pixel_scale_arcsec,
    )
    good = good_map_about(observed, aperture.x, aperture.y, aperture.source)
    inside, seen = source_fractions(aperture.source, place, psf, good, matrix.energy)
    arf = extraction_arf(
        calibration, aperture.chip_id, choices.decimal_year, aperture.theta, aperture.phi, 1.0
    )
    return SpectralResponse(matrix, arf.area * seen, inside, float(np.interp(1.5, matrix.energy, seen)))


def _mean_response(
    observed: ObservedField,
    aperture: Aperture,
    region: Region,
    chosen: NDArray[np.intp],
    calibration: Calibration,
    choices: SpectrumChoices,
) -> SpectralResponse:
    """Response of a region: the mean over its events; at the source where there are none."""
    events = observed.events
    good = area_mean(region, good_map_about(observed, aperture.x, aperture.y, region))
    within = (events.energy[chosen] >= _WEIGHT_BAND[0]) & (events.energy[chosen] < _WEIGHT_BAND[1])
    places = chosen[within]
    if places.size:
        theta, phi = events.pointing.off_axis(events.x[places], events.y[places])
        chips = events.ccd_id[places].astype(np.int64)
    else:
        theta, phi = np.array([aperture.theta]), np.array([aperture.phi])
        chips = np.array([aperture.chip_id], dtype=np.int64)
    arf = weighted_arf(calibration, choices.decimal_year, chips, theta, phi, np.ones(len(chips)), good)
    matrix = calibration.redistribution(int(arf.keywords["CCD_ID"]))
    return SpectralResponse(matrix, arf.area, np.ones(matrix.energy.size), good)
