"""Grouping of channels: what each rule promises, on any spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from catalog.errors import SettingsError
from catalog.stats.spectral_grouping import GroupRule, group_channels, group_counts, parse_group_rule
from catalog.stats.time_grouping import group_by_snr, group_snr, snr_edges

SPECTRA = arrays(np.int64, st.integers(1, 90), elements=st.integers(0, 6))


def test_rules_as_they_are_written():
    assert parse_group_rule("none") == GroupRule()
    assert parse_group_rule("counts:15") == GroupRule("counts", 15.0)
    assert parse_group_rule("snr:3") == GroupRule("snr", 3.0)
    assert parse_group_rule("snr:1.5-3") == GroupRule("snr", 1.5, 3.0)


@pytest.mark.parametrize(
    "text", ["", "counts", "counts:", "counts:0", "counts:-3", "counts:2.5", "snr:x", "snr:3-1", "None"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(SettingsError, match=r"counts:15, snr:3"):
        parse_group_rule(text)


@given(SPECTRA, st.integers(1, 12))
def test_groups_of_least_counts_are_the_shortest_from_the_left(counts, least):
    found = group_counts(counts, least)
    assert found.edges[0] == 0
    assert found.edges[-1] == counts.size
    assert (np.diff(found.edges) > 0).all()
    sums = found.sums(counts)
    assert sums.sum() == counts.sum()
    assert (sums[found.good] >= least).all()
    for i in np.flatnonzero(found.good):
        assert counts[found.edges[i] : found.edges[i + 1] - 1].sum() < least
    # Only the last may be incomplete.
    assert found.good[:-1].all()
    assert found.good[-1] == (sums[-1] >= least)


def test_ogip_columns():
    found = group_channels(GroupRule("counts", 3), [1, 2, 0, 3, 1, 0])
    assert found.grouping.tolist() == [1, -1, 1, -1, 1, -1]
    assert found.quality.tolist() == [0, 0, 0, 0, 2, 2]
    alone = group_channels(GroupRule(), [1, 2, 0])
    assert alone.grouping.tolist() == [1, 1, 1]
    assert not alone.quality.any()


def test_a_spectrum_without_counts_is_one_group_that_is_not_good():
    for rule in ("counts:15", "snr:3"):
        found = group_channels(parse_group_rule(rule), np.zeros(20), np.ones(20), 5.0)
        assert found.edges.tolist() == [0, 20]
    assert not group_counts(np.zeros(20), 15).good.any()


@settings(deadline=None)
@given(SPECTRA, st.integers(0, 3), st.floats(0.5, 3.0), st.floats(2.0, 30.0))
def test_every_group_reaches_the_signal_to_noise(counts, back, threshold, ratio):
    background = np.full(counts.size, back)
    edges = snr_edges(counts, threshold, background, ratio)
    assert edges[0] == 0
    assert edges[-1] == counts.size
    assert (np.diff(edges) > 0).all()
    if edges.size > 2:
        sums = [np.add.reduceat(values, edges[:-1]) for values in (counts, background)]
        # The background of what is left over may pull the group that it joins below.
        assert (group_snr(*sums, ratio) < threshold - 1e-12).sum() <= bool(back)
        # A boundary has a count on either side before the next.
        filled = np.flatnonzero(counts)
        assert set(edges[1:-1].tolist()) <= set(((filled[:-1] + filled[1:] + 1) // 2).tolist())


def test_the_first_and_last_group_are_as_short_as_they_can_be():
    rng = np.random.default_rng(2)
    counts, background = rng.poisson(2.0, 300), rng.poisson(4.0, 300)
    edges = snr_edges(counts, 3.0, background, 8.0)
    assert edges.size > 10

    def reaches(first, last):
        return group_snr(counts[first:last].sum(), background[first:last].sum(), 8.0) >= 3.0

    assert reaches(0, edges[1])
    assert reaches(edges[-2], 300)
    filled = np.flatnonzero(counts)
    cuts = (filled[:-1] + filled[1:] + 1) // 2
    assert not any(reaches(0, cut) for cut in cuts[cuts < edges[1]])
    assert not any(reaches(cut, 300) for cut in cuts[cuts > edges[-2]])


def test_a_background_makes_groups_longer():
    counts = np.full(400, 3)
    alone, beside = snr_edges(counts, 3.0), snr_edges(counts, 3.0, np.full(400, 12), 8.0)
    assert alone.size > beside.size > 2


def test_outside_the_band_is_one_group_on_either_side():
    counts = np.full(100, 5)
    found = group_channels(GroupRule("snr", 2.0), counts, band=(10, 90))
    assert found.edges[1] == 10
    assert found.edges[-2] == 90
    assert found.good.tolist() == [False, *[True] * (len(found.good) - 2), False]
    assert found.snr == 2.0
    assert (group_snr(found.sums(counts))[found.good] >= 2.0).all()


def test_a_range_of_signal_to_noise_gives_the_groups_asked_for():
    counts = np.full(500, 20)
    edges, threshold = group_by_snr(counts, (1.0, 30.0), (10, 40))
    assert 10 <= edges.size - 1 <= 40
    found = group_channels(GroupRule("snr", 1.0, 3.0), np.full(100, 10))
    assert found.snr == 3.0
    # Too many groups: it goes up.
    many = group_channels(GroupRule("snr", 1.0, 3.0), counts)
    assert many.snr > 3.0
    assert 10 <= len(many.good) <= 250
    # Too few counts for ten groups of 3: the signal to noise goes down, not below 1.
    weak = group_channels(GroupRule("snr", 1.0, 3.0), np.repeat([1, 0], [30, 470]))
    assert 1.0 <= weak.snr < 3.0
    assert threshold >= 1.0
