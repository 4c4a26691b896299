"""Variability of one source over its observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.flags import Flag
from catalog.stats.constancy import constancy
from catalog.stats.gregory_loredo import VARIABLE_INDEX
from catalog.stats.kolmogorov_smirnov import PValue, ks_log10

Array = NDArray[np.float64]

PHOTON_INDICES = np.linspace(1.0, 3.0, 9)
"""Spectra that a constant source may have: its flux must not seem to change because the response did."""

COLUMNS = (
    "flags",
    "var_intra_index",
    "var_intra_prob",
    "var_inter_index",
    "var_inter_prob",
    "var_inter_log10_pvalue",
    "var_inter_chi2_log10_pvalue",
    "ks_merged_log10_pvalue",
    "ks_min_log10_pvalue",
    "kp_min_log10_pvalue",
)
"""Columns of `merged_variability`."""


@dataclass(frozen=True, eq=False)
class Epoch:
    """One source in one observation and band.

    Attributes
    ----------
    start
        Begin of the observation, s of mission time.
    n, m
        Counts in source aperture and background region. Of a source measured together with neighbours the
        region stands for background and neighbours, and its counts are not whole in general.
    f, g
        PSF fraction x good fraction x live time x area (cm2 s; s where no observation has an area) of either;
        0 where this observation has no area and others have: it is not compared.
    r
        Background ratio.
    exposure
        Good time x area: the weight of the observation in the merged test.
    index1, index3
        Area for photon index 1 and 3 over that of the reference spectrum; NaN without a response.
    phase
        Exposure gathered until each event of the aperture, over all of it; None where not stored.
    tests
        Columns of `variability`.
    """

    start: float
    n: int
    m: float
    f: float
    g: float
    r: float
    exposure: float
    index1: float
    index3: float
    phase: Array | None
    tests: dict[str, Any]


def merged_timing(
    epochs: Sequence[Epoch], reference_index: float, method: PValue = "exact", area_error: float = 0.0
) -> dict[str, Any]:
    """Return the columns of `merged_variability` of one source and band, None where there is no value.

    Parameters
    ----------
    epochs
        Usable observations, any order.
    reference_index
        Photon index of the reference spectrum.
    method
        How probabilities of the Kolmogorov-Smirnov test are computed.
    area_error
        Relative systematic error of the area of one observation against another.

    Notes
    -----
    Within observations: the tests on the background as it was, the most variable observation counts.
    Between them: likelihood ratio of one flux to one per observation, background by background, for the
    photon index (1 to 3) that suits a constant source best.
    """
    columns: dict[str, Any] = dict.fromkeys(COLUMNS)
    ordered = sorted(epochs, key=lambda epoch: epoch.start)
    columns["var_intra_index"] = _extreme(ordered, "var_index_net", max)
    columns["var_intra_prob"] = _extreme(ordered, "var_prob_net", max)
    columns["ks_min_log10_pvalue"] = _extreme(ordered, "ks_log10_pvalue", min)
    columns["kp_min_log10_pvalue"] = _extreme(ordered, "kp_log10_pvalue", min)
    columns["ks_merged_log10_pvalue"] = _merged_ks(ordered, method)
    exposed = [epoch for epoch in ordered if epoch.f > 0]
    if len(exposed) > 1:
        n, m, f, g, r = (
            np.array([getattr(epoch, name) for epoch in exposed], dtype=float) for name in "nmfgr"
        )
        found = constancy(n, m, f, g, r, _shapes(exposed, reference_index), area_error)
        columns |= {
            "var_inter_index": found.index,
            "var_inter_prob": found.probability,
            "var_inter_log10_pvalue": found.log10_pvalue,
            "var_inter_chi2_log10_pvalue": found.chi2_log10_pvalue,
        }
    flags = Flag(0)
    for epoch in ordered:
        flags |= Flag((epoch.tests.get("flags") or 0) & int(Flag.BACKGROUND_VARIABLE | Flag.TIMING_DOUBTFUL))
    if max(columns["var_intra_index"] or 0, columns["var_inter_index"] or 0) >= VARIABLE_INDEX:
        flags |= Flag.VARIABLE
    columns["flags"] = int(flags)
    return columns


def _extreme(epochs: Sequence[Epoch], name: str, choose: Any) -> Any:
    values = [epoch.tests[name] for epoch in epochs if epoch.tests.get(name) is not None]
    return choose(values) if values else None


def _merged_ks(epochs: Sequence[Epoch], method: PValue) -> float | None:
    """Test over all observations: one after the other, each as long as its good time x area."""
    used = [epoch for epoch in epochs if epoch.phase is not None and epoch.exposure > 0]
    total = sum(epoch.exposure for epoch in used)
    begin, phases = 0.0, []
    for epoch in used:
        assert epoch.phase is not None
        phases.append(begin + epoch.phase * epoch.exposure / total)
        begin += epoch.exposure / total
    return ks_log10(np.clip(np.concatenate(phases), 0.0, 1.0), method) if phases else None


def _shapes(epochs: Sequence[Epoch], reference_index: float) -> Array:
    """Area for each photon index over that of the reference spectrum, shape (indices, epochs).

    ln of the ratio as a parabola in the index, through its values at 1, the reference (0) and 3.
    """
    first, last = (np.array([getattr(epoch, name) for epoch in epochs]) for name in ("index1", "index3"))
    if not (np.isfinite(first).all() and np.isfinite(last).all() and 1.0 < reference_index < 3.0):
        return np.ones((1, len(epochs)))
    x1, x3 = 1.0 - reference_index, 3.0 - reference_index
    slope1, slope3 = np.log(first) / x1, np.log(last) / x3
    curvature = (slope3 - slope1) / (x3 - x1)
    slope = slope1 - curvature * x1
    x = (PHOTON_INDICES - reference_index)[:, None]
    return np.asarray(np.exp(x * (slope + curvature * x)))
