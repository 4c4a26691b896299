"""How much event positions are blurred beyond the ray-traced point spread functions, by kind of data.

Values are standard deviations of a Gaussian along each axis, in arcsec, on top of the 0.07 arcsec (aspect) of
the ray trace. That of repositioned events was measured on real sources (benchmarks/psf_blur.py,
docs/calibration.md); the others follow from it with the variance of a uniform distribution over a pixel.
"""

from __future__ import annotations

from typing import Literal

from catalog.events.header import ObservationHeader

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

#: The HRC's own position resolution, 0.46 arcsec full width at half maximum (the value that MARX uses), and
#: randomisation within its pixels; not measured here.
HRC = 0.20

BLUR: dict[str, float] = {
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
