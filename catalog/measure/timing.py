"""Timing: variability tests and light curves of one source in one observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.apertures.region import Region
from catalog.band import Band
from catalog.calibration.psf import PsfLibrary
from catalog.events.good_time_checks import good_time_doubt
from catalog.flags import Flag
from catalog.measure.aperture_clock import ApertureClock, aperture_clock
from catalog.measure.extract import Aperture
from catalog.measure.light_curves import LightCurve, light_curves, odds_weighted_curve
from catalog.measure.observed_field import ObservedField
from catalog.stats.bayesian_blocks import Blocks, bayesian_blocks
from catalog.stats.exposure_clock import ExposureClock
from catalog.stats.gregory_loredo import VARIABLE_INDEX, GregoryLoredo, gregory_loredo
from catalog.stats.kolmogorov_smirnov import PValue, ks_log10
from catalog.stats.kuiper import kuiper_log10

Array = NDArray[np.float64]

LOST_EVENTS = 0.05
"""Share of the events at times when the aperture should see almost nothing, above which timing is
doubtful."""


@dataclass(frozen=True)
class TimingChoices:
    """What the recipe says.

    Attributes
    ----------
    pvalues
        Exact p, or the asymptotic forms.
    bin_seconds
        Bins of the fixed light curve, s.
    """

    pvalues: PValue = "exact"
    bin_seconds: float = 100.0


@dataclass(frozen=True, eq=False)
class BandTiming:
    """Result in one band.

    Attributes
    ----------
    columns
        Columns of `variability` by name, None for no value; its flags among them.
    curves
        Light curves by product.
    """

    columns: dict[str, Any]
    curves: dict[str, LightCurve] = field(default_factory=dict)


TEST_COLUMNS = (
    "var_index",
    "var_prob",
    "gl_log10_odds",
    "ks_prob",
    "kp_prob",
    "ks_log10_pvalue",
    "kp_log10_pvalue",
)
"""Columns of the tests; those against source and background together end in `_net`."""
COLUMNS = (
    "flags",
    *TEST_COLUMNS,
    *(f"{name}_net" for name in TEST_COLUMNS),
    "var_peak_bins",
    "var_mean_bins",
    "var_frac_3sigma",
    "var_frac_5sigma",
    "bkg_var_index",
    "bkg_var_prob",
    "n_blocks",
    "cnts_timing",
    "ontime_timing",
)
"""Columns of `variability` that timing fills."""


def events_in(observed: ObservedField, region: Region) -> NDArray[np.intp]:
    """Events inside a region, in the order of the file."""
    near = observed.events_near(*region.shape.reach)
    return near[region.contains(observed.events.x[near], observed.events.y[near])]


def timing(
    observed: ObservedField,
    aperture: Aperture,
    bands: Sequence[Band],
    psf: PsfLibrary,
    choices: TimingChoices | None = None,
    curves_of: int | None = 0,
) -> list[BandTiming]:
    """Test a source for variability in each band, and make its light curves.

    Parameters
    ----------
    observed
        The observation.
    aperture
        Regions of the source.
    bands
        Energy bands; an event belongs to a band when lo <= E < hi.
    psf
        Point spread functions: they say which share of the source an edge takes away.
    choices
        Of the recipe.
    curves_of
        Number of the band that gets all light curves; None for every band. The others get the phases of their
        events, and the curve of Gregory and Loredo where their index depends on it (0.5 < P < 0.9).
    """
    chosen = choices or TimingChoices()
    clock = aperture_clock(observed, aperture, psf)
    doubts = Flag(0) if good_time_doubt(observed.events) is None else Flag.TIMING_DOUBTFUL
    source, background = (events_in(observed, region) for region in (aperture.source, aperture.background))
    found = []
    for i, band in enumerate(bands):
        own = _Arrivals(observed, source, band)
        other = _Arrivals(observed, background, band)
        found.append(time_band(own.time, own.energy, other.time, clock, chosen, curves_of in (None, i)))
        found[-1].columns["flags"] |= int(doubts)
    return found


class _Arrivals:
    """Times and energies of the events of a band."""

    def __init__(self, observed: ObservedField, events: NDArray[np.intp], band: Band) -> None:
        energy = observed.events.energy[events]
        inside = (energy >= band.lo) & (energy < band.hi)
        order = np.argsort(observed.events.time[events][inside], kind="stable")
        self.time: Array = np.asarray(observed.events.time[events][inside][order], dtype=float)
        self.energy: Array = np.asarray(energy[inside][order], dtype=float)


def time_band(
    time: Array,
    energy: Array,
    background_time: Array,
    clock: ApertureClock,
    choices: TimingChoices,
    with_curves: bool = True,
) -> BandTiming:
    """Test arrivals in one band.

    Parameters
    ----------
    time, energy
        Of the events in the source aperture, ascending in time: s, keV.
    background_time
        Of those in the background region.
    clock
        What the apertures saw.
    choices
        Of the recipe.
    with_curves
        Whether to make all light curves.
    """
    columns: dict[str, Any] = dict.fromkeys(COLUMNS)
    seen = clock.source.contains(time)
    kept = time[seen]
    flags = Flag(0)
    if time.size - kept.size > LOST_EVENTS * max(time.size, 20):
        flags |= Flag.TIMING_DOUBTFUL
    columns |= {"cnts_timing": int(kept.size), "ontime_timing": clock.source.total_time}
    odds = gregory_loredo(kept, clock.source, with_curve=with_curves)
    columns |= _tests(kept, clock.source, odds, choices.pvalues, "")
    background = _background(background_time, clock)
    if background.odds is not None:
        columns |= {"bkg_var_index": background.odds.index, "bkg_var_prob": background.odds.probability}
        if background.odds.index >= VARIABLE_INDEX:
            flags |= Flag.BACKGROUND_VARIABLE
    mixed = _mixture(kept.size, background_time.size, clock, background.blocks)
    if mixed is None:
        columns |= {f"{name}_net": columns[name] for name in TEST_COLUMNS}
    else:
        columns |= _tests(kept, mixed, gregory_loredo(kept, mixed, with_curve=False), choices.pvalues, "_net")
    if odds is not None:
        columns |= {
            "var_peak_bins": odds.n_bins_peak,
            "var_mean_bins": odds.n_bins_mean,
            "var_frac_3sigma": None if np.isnan(odds.f3) else odds.f3,
            "var_frac_5sigma": None if np.isnan(odds.f5) else odds.f5,
        }
    columns["flags"] = int(flags)
    if clock.source.total_exposure <= 0:
        return BandTiming(columns)
    curves: dict[str, LightCurve] = {}
    if with_curves:
        blocks = bayesian_blocks(kept, clock.source)
        columns["n_blocks"] = len(blocks)
        curves = light_curves(kept, energy[seen], background_time, clock, blocks, choices.bin_seconds)
    elif kept.size:
        phase = clock.source.exposure_at(kept) / clock.source.total_exposure
        curves["arrivals"] = LightCurve.of(phase=phase)
    if odds is not None and odds.rate.size:
        curves["gregory_loredo"] = odds_weighted_curve(odds, clock.source)
    return BandTiming(columns, curves)


def _tests(
    time: Array, clock: ExposureClock, odds: GregoryLoredo | None, method: PValue, ending: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if odds is not None:
        found |= {
            "var_index": odds.index,
            "var_prob": odds.probability,
            "gl_log10_odds": odds.log10_odds,
        }
    if time.size and clock.total_exposure > 0:
        phase = np.clip(clock.exposure_at(time) / clock.total_exposure, 0.0, 1.0)
        for name, value in (("ks", ks_log10(phase, method)), ("kp", kuiper_log10(phase, method))):
            if value is not None:
                found |= {f"{name}_log10_pvalue": value, f"{name}_prob": -np.expm1(value * np.log(10))}
    return {f"{name}{ending}": found.get(name) for name in TEST_COLUMNS}


@dataclass(frozen=True, eq=False)
class _Background:
    odds: GregoryLoredo | None
    blocks: Blocks | None


def _background(time: Array, clock: ApertureClock) -> _Background:
    """Variability of the background, and its blocks where it may vary."""
    own = clock.background_clock
    if not own.start.size:
        return _Background(None, None)
    kept = time[own.contains(time)]
    odds = gregory_loredo(kept, own, with_curve=False)
    if odds is None or odds.probability <= 0.5:
        return _Background(odds, None)
    blocks = bayesian_blocks(kept, own)
    return _Background(odds, blocks if len(blocks) > 1 else None)


def _mixture(n: int, m: int, clock: ApertureClock, blocks: Blocks | None) -> ExposureClock | None:
    """Clock of a constant source on the background as it was; None where that is the source's own clock."""
    ratio = clock.ratio()
    if n == 0 or m == 0 or ratio <= 0:
        return None
    share = min(m / ratio / n, 1.0)
    source = clock.source
    if blocks is None:
        if np.allclose(clock.area, source.fraction, rtol=1e-6):
            return None
        cut, area, level = source, clock.area, np.ones(source.start.size)
    else:
        cut = source.split(blocks.start[1:])
        area = clock.area[np.searchsorted(source.start, cut.start, side="right") - 1]
        level = blocks.rate[np.clip(np.searchsorted(blocks.start, cut.middle) - 1, 0, len(blocks) - 1)]
    length = cut.stop - cut.start
    behind = area * level
    if float(length @ behind) <= 0:
        return None
    rate = (1 - share) * cut.fraction / cut.total_exposure + share * behind / float(length @ behind)
    # A time of no expectation would make each event in it infinitely unlikely.
    return cut.with_fraction(np.maximum(rate, 1e-3 * float(rate.max())))
