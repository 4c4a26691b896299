"""The flag registry: one bit, one name, one sentence each. Bits are never renumbered.

Flags are stored as a 64-bit integer on extractions, measurements and merged rows. A merged row carries the
union of the flags of its members and its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag


class Flag(IntFlag):
    """Caveats of a row; `FLAGS` has the sentence for each."""

    OUTSIDE_FOV = 1 << 0
    NEAR_EDGE = 1 << 1
    PARTIAL_EXPOSURE = 1 << 2
    BOUND_ONLY = 1 << 3
    BACKGROUND_INSIDE_SOURCE = 1 << 4
    NEIGHBOUR_EXCLUDED = 1 << 5
    NO_BACKGROUND = 1 << 6
    BAND_OUTSIDE_DATA = 1 << 7
    NO_RESPONSE = 1 << 8
    FLUX_FROM_MODEL = 1 << 9
    PILEUP = 1 << 10
    EPOCH_RESPONSE_DIFFERS = 1 << 11
    AREA_EXTRAPOLATED = 1 << 12
    PSF_EXTRAPOLATED = 1 << 13
    NO_APERTURE = 1 << 14
    CONFUSED = 1 << 15
    FAILED = 1 << 16
    NO_EXPOSURE = 1 << 17
    LOW_PSF_FRACTION = 1 << 18
    MIXED_CHIPS = 1 << 19
    EXCLUDED_FROM_MERGE = 1 << 20
    BACKGROUND_VARIABLE = 1 << 21
    TIMING_DOUBTFUL = 1 << 22
    VARIABLE = 1 << 23
    JOINT = 1 << 24
    BAND_OUTSIDE_CALIBRATION = 1 << 25
    DRAWN_REGION = 1 << 26
    OFF_SOURCE = 1 << 27
    SMALL_BACKGROUND = 1 << 28
    APERTURES_OVERLAP = 1 << 29
    PARTIAL_RESPONSE = 1 << 30
    BAND_NOT_MEASURED = 1 << 31


@dataclass(frozen=True)
class FlagDefinition:
    """One bit of the registry."""

    bit: int
    name: str
    sentence: str

    @property
    def value(self) -> int:
        """The integer that has only this bit set."""
        return 1 << self.bit


_SENTENCES: dict[Flag, str] = {
    Flag.OUTSIDE_FOV: "The position lies outside the field of view of the observation; nothing was measured.",
    Flag.NEAR_EDGE: "The position comes within the dither of a chip edge.",
    Flag.PARTIAL_EXPOSURE: (
        "Less than 90 % of the PSF-weighted aperture was on good pixels, averaged over time; "
        "the exposure accounts for it."
    ),
    Flag.BOUND_ONLY: (
        "The credible interval reaches zero: the lower limit is 0 and the upper limit is the bound of a "
        "one-sided interval."
    ),
    Flag.BACKGROUND_INSIDE_SOURCE: (
        "The background region holds as large a share of the source as of the background (r f <= g), so the "
        "two cannot be told apart."
    ),
    Flag.NEIGHBOUR_EXCLUDED: "Part of the source aperture was cut out because a neighbour overlaps it.",
    Flag.NO_BACKGROUND: "The background region is empty; nothing derived from it was computed.",
    Flag.BAND_OUTSIDE_DATA: (
        "The event list is cut in energy and the band reaches outside the cut; its counts are incomplete."
    ),
    Flag.NO_RESPONSE: "No effective area applies (grating, or no calibration): fluxes are NULL.",
    Flag.FLUX_FROM_MODEL: (
        "The energy flux uses the conversion of the reference spectrum: fewer than 10 net counts, one event "
        "above 25 % of the sum, a sum that is not positive, or no event energies (HRC)."
    ),
    Flag.PILEUP: "More than 0.05 counts per frame in the brightest 3 x 3 pixels: pile-up likely.",
    Flag.EPOCH_RESPONSE_DIFFERS: (
        "The response changed so much between the merged observations that another photon index in 1-3 would "
        "shift the merged flux by more than its error."
    ),
    Flag.AREA_EXTRAPOLATED: "The effective area was extrapolated beyond the dates of the calibration.",
    Flag.PSF_EXTRAPOLATED: "The off-axis angle lies beyond the PSF library; its last angle was used.",
    Flag.NO_APERTURE: "Neighbours or the detector edge leave no source aperture; nothing was measured.",
    Flag.CONFUSED: "Another source of the list lies inside the source aperture before cutting.",
    Flag.FAILED: "The computation failed; the reason is in the work unit.",
    Flag.NO_EXPOSURE: "The aperture has no exposure; rates and fluxes are NULL.",
    Flag.LOW_PSF_FRACTION: "The source aperture holds less than 40 % of the PSF.",
    Flag.MIXED_CHIPS: "The background region reaches onto a chip of the other kind and was cut there.",
    Flag.EXCLUDED_FROM_MERGE: "At least one observation of the source was left out of the merge.",
    Flag.BACKGROUND_VARIABLE: (
        "The background region itself varies (index of 6 or more): trust the tests that end in `_net`."
    ),
    Flag.TIMING_DOUBTFUL: (
        "More than 5 % of the events arrived while the aperture should have seen almost nothing (they were "
        "left out of the variability tests; aspect or bad pixels may be wrong), or the good times of the "
        "event list differ from its ONTIME by more than 5 %."
    ),
    Flag.VARIABLE: (
        "The source varies within or between the merged observations (index of 6 or more): a merged flux is "
        "a mean over different states."
    ),
    Flag.JOINT: (
        "Measured together with the neighbours whose photons fall into its aperture or background; limits "
        "and significances count these photons as background."
    ),
    Flag.BAND_OUTSIDE_CALIBRATION: (
        "The band reaches beyond the energies of the effective area: its fluxes are incomplete."
    ),
    Flag.DRAWN_REGION: "The source aperture or the background region was drawn by a person.",
    Flag.OFF_SOURCE: (
        "The source aperture drawn by a person does not hold the position of the source, or holds that of a "
        "nearer one: its counts may be those of another source."
    ),
    Flag.SMALL_BACKGROUND: (
        "The background region could not reach the counts, the area or the match that the recipe asks for."
    ),
    Flag.APERTURES_OVERLAP: "More than 10 % of the source aperture lies inside that of its neighbour.",
    Flag.PARTIAL_RESPONSE: (
        "At least one of the merged observations has no effective area (grating): its counts are merged, the "
        "fluxes are those of the others."
    ),
    Flag.BAND_NOT_MEASURED: (
        "No observation of the source was measured in this band: those with the HRC have the wide band "
        "alone, those with ACIS the bands of the recipe."
    ),
}

FLAGS: tuple[FlagDefinition, ...] = tuple(
    FlagDefinition(flag.value.bit_length() - 1, (flag.name or "").lower(), _SENTENCES[flag]) for flag in Flag
)


def decode(value: int) -> list[FlagDefinition]:
    """Return the definitions of the bits set in `value`, lowest first.

    Raises
    ------
    ValueError
        For a negative value or a bit that the registry does not have.
    """
    if value < 0:
        raise ValueError(f"a flag value is not negative, got {value}")
    known = [definition for definition in FLAGS if value & definition.value]
    unknown = value & ~sum(definition.value for definition in FLAGS)
    if unknown:
        raise ValueError(f"{value} has bits that no flag of this version uses: {unknown}")
    return known


def combine(values: Iterable[int | None]) -> int:
    """Union of flag values; None counts as no flag."""
    result = 0
    for value in values:
        result |= value or 0
    return result
