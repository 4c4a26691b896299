"""Variability over observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catalog.flags import Flag
from catalog.measure.merged_timing import COLUMNS, PHOTON_INDICES, Epoch, _shapes, merged_timing
from catalog.stats.kolmogorov_smirnov import ks_log10

EPOCH = Epoch(0.0, 100, 20, 1e6, 0.0, 20.0, 1e6, 1.0, 1.0, None, {})


def epoch(start, n, f=1e6, phase=None, **tests) -> Epoch:
    return replace(EPOCH, start=start, n=n, f=f, exposure=f, phase=phase, tests=tests)


def test_one_observation_or_none() -> None:
    single = merged_timing([epoch(0.0, 50, var_index_net=7, var_prob_net=0.999, flags=0)], 1.7)
    assert set(single) == set(COLUMNS)
    assert (single["var_intra_index"], single["var_inter_index"]) == (7, None)
    assert single["var_inter_log10_pvalue"] is None
    assert single["flags"] == Flag.VARIABLE
    nothing = merged_timing([], 1.7)
    assert {value for name, value in nothing.items() if name != "flags"} == {None}
    assert nothing["flags"] == 0


def test_highest_and_lowest_of_single_observations() -> None:
    found = merged_timing(
        [
            epoch(0.0, 50, var_index_net=2, var_prob_net=0.7, ks_log10_pvalue=-3.0, kp_log10_pvalue=None),
            epoch(9.0, 55, var_index_net=None, var_prob_net=None, ks_log10_pvalue=-1.0, kp_log10_pvalue=-2.0),
        ],
        1.7,
    )
    assert (found["var_intra_index"], found["var_intra_prob"]) == (2, 0.7)
    assert (found["ks_min_log10_pvalue"], found["kp_min_log10_pvalue"]) == (-3.0, -2.0)
    assert found["var_inter_index"] <= 2
    assert found["flags"] == 0


def test_merged_test_keeps_the_order_of_time_and_the_weights() -> None:
    rng = np.random.default_rng(1)
    # Not even, and not in the ratio of the weights: any other order gives another distance.
    early, late = np.sort(rng.random(45) ** 1.5), np.sort(rng.random(90))
    epochs = [epoch(500.0, 90, 3e6, late), epoch(100.0, 45, 1e6, early)]
    phases = np.concatenate([early * 0.25, 0.25 + late * 0.75])
    found = merged_timing(epochs, 1.7)["ks_merged_log10_pvalue"]
    assert found == pytest.approx(ks_log10(phases))
    assert found != pytest.approx(ks_log10(np.concatenate([late * 0.75, 0.75 + early * 0.25])), abs=0.05)
    assert merged_timing(epochs[::-1], 1.7)["ks_merged_log10_pvalue"] == found
    # Thrice as many counts in the second one at the same weight.
    even = [epoch(500.0, 90, 1e6, np.linspace(0, 1, 90)), epoch(100.0, 30, 1e6, np.linspace(0, 1, 30))]
    assert merged_timing(even, 1.7)["ks_merged_log10_pvalue"] < -5


def test_a_response_that_changes_does_not_make_a_source_vary() -> None:
    """The area at index 3 over that at the reference falls from 1.3 to 0.7 between the observations."""
    pair = [
        replace(epoch(0.0, 1300), index1=0.9, index3=1.3),
        replace(epoch(9.0, 700), index1=1.1, index3=0.7),
    ]
    assert merged_timing(pair, 1.7)["var_inter_index"] <= 3
    same = [replace(item, index1=1.0, index3=1.0) for item in pair]
    assert merged_timing(same, 1.7)["var_inter_index"] == 10
    unknown = [replace(item, index1=np.nan, index3=np.nan) for item in pair]
    assert merged_timing(unknown, 1.7)["var_inter_index"] == 10


def test_area_by_photon_index_goes_through_what_is_known() -> None:
    shapes = _shapes([replace(EPOCH, index1=0.8, index3=1.4), replace(EPOCH, index1=1.1, index3=0.6)], 1.5)
    at = {float(index): row for index, row in zip(PHOTON_INDICES, shapes, strict=True)}
    assert at[1.0] == pytest.approx([0.8, 1.1])
    assert at[1.5] == pytest.approx([1.0, 1.0])
    assert at[3.0] == pytest.approx([1.4, 0.6])


def test_flags_of_observations_are_kept() -> None:
    flags = int(Flag.BACKGROUND_VARIABLE | Flag.TIMING_DOUBTFUL)
    assert merged_timing([epoch(0.0, 5, flags=flags), epoch(1.0, 6, flags=0)], 1.7)["flags"] == flags


def test_an_observation_without_area_is_not_compared() -> None:
    """A grating was in place in the second one: its count rate says nothing about the flux."""
    pair = [epoch(0.0, 300), epoch(9.0, 20, f=0.0), epoch(20.0, 290)]
    found = merged_timing(pair, 1.7)
    assert found["var_inter_index"] <= 2
    assert found["var_inter_log10_pvalue"] == merged_timing(pair[::2], 1.7)["var_inter_log10_pvalue"]
    assert merged_timing(pair[:2], 1.7)["var_inter_index"] is None


def test_the_error_of_the_area_is_used() -> None:
    pair = [epoch(0.0, 20_000), epoch(9.0, 20_900)]
    assert merged_timing(pair, 1.7)["var_inter_index"] >= 6
    assert merged_timing(pair, 1.7, area_error=0.05)["var_inter_index"] <= 3
