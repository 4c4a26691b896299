"""What the stage hands to the tests between observations."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from catalog.measure.merged_timing import merged_timing
from catalog.stages.steps.merged_variability import _epoch, _has_area


def row(start, n, **changes):
    """An observation of 20 ks and 400 cm2 with 60 background counts at a ratio of 20."""
    values = {
        "tstart": start,
        "livetime": 2e4,
        "cnts_aper": n,
        "cnts_aperbkg": 60,
        "psf_frac_aper": 0.9,
        "psf_frac_aperbkg": 0.05,
        "psf_good_frac_aper": 0.8,
        "psf_good_frac_aperbkg": 0.5,
        "bkg_ratio": 20.0,
        "joint_cnts_aperbkg": None,
        "joint_psf_frac_aperbkg": None,
        "joint_bkg_ratio": None,
        "area_band": 400.0,
        "response_index1": 1.0,
        "response_index3": 1.0,
    }
    return SimpleNamespace(**values | changes)


def test_exposures_of_aperture_and_background():
    found = _epoch(row(5.0, 30), 400.0, None, {"ontime_timing": 1.9e4})
    assert (found.n, found.m, found.r) == (30, 60, 20.0)
    assert found.f == pytest.approx(0.9 * 0.8 * 2e4 * 400)
    assert found.g == pytest.approx(0.05 * 0.5 * 2e4 * 400)
    assert found.exposure == found.f
    assert _epoch(row(5.0, 30), 400.0, None, {}).exposure == 0.0
    assert _epoch(row(5.0, 30), 0.0, None, {"ontime_timing": 1.9e4}).f == 0.0
    assert _has_area(row(0.0, 3))
    assert not _has_area(row(0.0, 3, area_band=None))


def test_photons_of_a_neighbour_that_varies_are_background():
    """40 photons of the neighbour in the first observation, 400 in the second; the source gives 100."""
    light = (
        {"joint_cnts_aperbkg": 86.0, "joint_bkg_ratio": 2.0},
        {"joint_cnts_aperbkg": 806.0, "joint_bkg_ratio": 2.0},
    )
    counts = (143, 503)
    together = [
        _epoch(row(float(i), counts[i], joint_psf_frac_aperbkg=0.02, **light[i]), 400.0, None, {})
        for i in range(2)
    ]
    assert together[0].g == pytest.approx(0.02 * 0.8 * 2e4 * 400)
    assert (together[1].m, together[1].r) == (806.0, 2.0)
    assert merged_timing(together, 1.7)["var_inter_index"] <= 2
    alone = [_epoch(row(float(i), counts[i]), 400.0, None, {}) for i in range(2)]
    assert merged_timing(alone, 1.7)["var_inter_index"] == 10
    # The source itself: thrice as bright in the second observation.
    changed = [together[0], replace(together[1], n=counts[1] + 200)]
    assert merged_timing(changed, 1.7)["var_inter_index"] >= 8
