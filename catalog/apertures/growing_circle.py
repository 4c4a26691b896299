"""Backgrounds that grow: a circle about the source on masked data, to a ratio of areas and enough counts.

ACIS Extract's simple method, with its tuning of the ratio to the counts of the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

from catalog.apertures.masked_field import MaskedField

LIMIT = 4 * 60.0
"""Largest radius, arcsec."""
_MOST_STEPS = 50
_PRECISION = 0.05
ENOUGH_COUNTS = 100
"""Counts that the tuned background of a source should have."""


@dataclass(frozen=True)
class RatioRange:
    """Allowed ratios of exposure-area, background over source: least, wanted and largest."""

    low: float = 20.0
    goal: float = 30.0
    high: float = 40.0


@dataclass(frozen=True)
class GrownCircle:
    """A circle found.

    Attributes
    ----------
    radius
        Sky pixels.
    counts
        Events in it, outside masks.
    ratio
        Its exposure-area over the source's.
    reached
        Whether it has the counts and at least the lowest ratio.
    vote_high
        Smallest ratio seen with enough counts, else 1.2 times the largest allowed.
    """

    radius: float
    counts: int
    ratio: float
    reached: bool
    vote_high: float


def growing_circle(
    position: tuple[float, float],
    source_area: float,
    field: MaskedField,
    ratios: RatioRange,
    min_counts: int,
    first: float,
    limit: float,
) -> GrownCircle:
    """Look for the background circle of a source.

    Parameters
    ----------
    position
        Sky pixels.
    source_area
        Exposure times area of the source aperture, in the field's unit.
    field
        Masked data.
    ratios, min_counts
        Goals.
    first, limit
        First and largest radius, sky pixels.

    Notes
    -----
    The area is doubled or halved until it is bracketed, then bisected, to 5 %. A ratio below `low` is too
    small, one above `high` too large; in between the circle is too small unless it has the counts and `goal`.
    """

    def at(area: float) -> tuple[int, float]:
        radius = sqrt(area / pi)
        return field.counts(*position, radius), field.exposure_area(*position, radius) / source_area

    def too_small(counts: int, ratio: float) -> bool:
        if ratio < ratios.low:
            return True
        return ratio <= ratios.high and (counts < min_counts or ratio < ratios.goal)

    largest = pi * limit**2
    area = min(pi * first**2, largest)
    small, large = 0.0, float("inf")
    seen: dict[float, tuple[int, float]] = {}
    for _ in range(_MOST_STEPS):
        seen[area] = at(area)
        if too_small(*seen[area]):
            small = area
            if area >= largest:
                break
            area = min(2 * area, largest) if large == float("inf") else 0.5 * (small + large)
        else:
            large = area
            area = 0.5 * (small + large)
        if large - small < _PRECISION * large:
            break
    area = large if large in seen else small
    counts, ratio = seen[area]
    enough = [found for number, found in seen.values() if number >= min_counts and found > 0]
    return GrownCircle(
        sqrt(area / pi),
        counts,
        ratio,
        counts >= min_counts and ratio >= ratios.low,
        min(enough, default=1.2 * ratios.high),
    )


def wanted_factor(source_counts: int, background_counts: int, ratio: float, enough: int) -> float:
    """Factor by which a background should grow: to enough counts, and to add little to the error.

    Parameters
    ----------
    source_counts, background_counts
        Counts in the source aperture and in the background region.
    ratio
        Background over source, the number that background counts are divided by.
    enough
        Background counts wanted.

    Notes
    -----
    Little is a quarter of the source's error 1 + sqrt(counts + 0.75) (Gehrels 1986): 3 % of the whole.
    """
    own = 1 + sqrt(source_counts + 0.75)

    def holds(factor: float) -> bool:
        error = (1 + sqrt(factor * background_counts + 0.75)) / (factor * ratio)
        return own >= 4 * error

    by_error = 1.0
    if holds(1.0):
        for _ in range(100):
            if not holds(by_error / 1.05):
                break
            by_error /= 1.05
    else:
        for _ in range(100):
            by_error *= 1.10
            if holds(by_error):
                break
    by_counts = enough / background_counts if background_counts > 0 else float("inf")
    return max(by_counts, by_error)


def tuned_range(current: RatioRange, factor: float, vote_low: float, vote_high: float) -> RatioRange:
    """Allowed ratios after tuning.

    Parameters
    ----------
    current
        Those until now.
    factor
        See `wanted_factor`.
    vote_low, vote_high
        Largest ratio at which the background was still good (0: no opinion), and smallest with enough counts.

    Returns
    -------
    RatioRange
        The current one when no limit changes by more than 10 %.
    """
    goal = current.goal
    if factor < 0.5:
        goal *= max(0.2, factor)
    elif factor > 1:
        goal *= min(max(factor, 1.2), 5.0)
    low = max(vote_low, 0.5)
    high = max(vote_high, low)
    tuned = RatioRange(low, min(max(goal, low), high), high)
    pairs = ((tuned.low, current.low), (tuned.goal, current.goal), (tuned.high, current.high))
    return tuned if any(abs(new / old - 1) > 0.1 for new, old in pairs) else current
