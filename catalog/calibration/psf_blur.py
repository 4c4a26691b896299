"""How much event positions are blurred beyond the ray-traced point spread functions, by kind of data.

Values are standard deviations of a Gaussian along each axis, in arcsec, on top of the 0.07 arcsec (aspect) of
the ray trace. That of repositioned events was measured on real sources (benchmarks/psf_blur.py,
docs/calibration.md); the others follow from it with the variance of a uniform distribution over a pixel.
"""

from __future__ import annotations

import math
from typing import Literal

from catalog.events.header import ObservationHeader

Blur = float | tuple[float, float]
"""Standard deviation in arcsec, the same at all off-axis angles; or that on axis and its growth g with the
angle in arcmin: the root of the sum of the squares of the first and of g theta^1.6."""

GROWTH = 1.6

PositionKind = Literal["edser", "randomize", "none", "simulated", "hrc"]

#: 0.20 +- 0.05 from 15 real sources of ten ObsIDs; aspect and sub-pixel errors are both in it.
EDSER = 0.20

#: Without repositioning an event lies at its pixel's centre: 0.492 / sqrt(12) = 0.142 arcsec, of which
#: repositioning takes away about 0.10.
NONE = 0.22

#: Randomisation within the pixel adds another 0.142 arcsec in quadrature.
RANDOMIZE = 0.27

#: Ray-traced events (MARX, the demo): 0.08 +- 0.01 from 28 sources of two simulated ObsIDs; they have no
#: aspect errors but those of the point spread functions.
SIMULATED = 0.08

#: The HRC: on axis its position resolution (0.46 arcsec full width at half maximum). Its flat plate leaves
#: the curved focus, to which the chips of ACIS-I are tilted, off axis; the growth is that of 34 sources of
#: the simulated ObsID 90030 with MARX's geometry of the HRC-I; fractions then agree within 0.01 to 0.02.
HRC: Blur = (0.16, 0.066)

BLUR: dict[str, Blur] = {
    "edser": EDSER,
    "randomize": RANDOMIZE,
    "none": NONE,
    "simulated": SIMULATED,
    "hrc": HRC,
}
"""Blur in arcsec by kind of positions."""


def position_kind(header: ObservationHeader) -> PositionKind:
    """Tell how positions of events came about, from DATACLAS, PIX_ADJ and RAND_SKY.

    A list that says nothing (before 2010, PIX_ADJ did not exist) was randomised if RAND_SKY is above 0.
    """
    if header.instrument == "HRC":
        return "hrc"
    if (header.data_class or "").upper() == "SIMULATED":
        return "simulated"
    adjustment = (header.pix_adj or "").upper()
    if adjustment in ("EDSER", "CENTROID"):
        return "edser"
    if adjustment == "RANDOMIZE" or (header.rand_sky or 0.0) > 0.0:
        return "randomize"
    return "none"


def with_core(blur: Blur, sigma: float | None) -> Blur:
    """A blur with another value on axis, where one is given; its growth stays."""
    if sigma is None:
        return blur
    return (sigma, blur[1]) if isinstance(blur, tuple) else sigma


def blur_at(blur: Blur, theta: float) -> float:
    """Standard deviation in arcsec at an off-axis angle in arcmin."""
    return math.hypot(blur[0], blur[1] * theta**GROWTH) if isinstance(blur, tuple) else blur
