"""Offsets of events from a source against spherical geometry, and afterglows against all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.events.sky_frame import SkyFrame
from catalog.measure.aperture_events import celestial_offsets, offset_position, suspected_afterglows


@dataclass
class Events:
    ccd_id: np.ndarray
    chipx: np.ndarray | None
    chipy: np.ndarray | None
    expno: np.ndarray | None
    time: np.ndarray


@pytest.mark.parametrize("dec", [-30.0, 62.0, 89.9])
def test_offsets_are_those_on_the_sphere(dec):
    """North at the source is not that of the tangent point: near a pole the two differ by degrees."""
    frame = SkyFrame(150.0, dec, 4096.5, 4096.5, -0.492 / 3600, 0.492 / 3600)
    rng = np.random.default_rng(1)
    x0, y0 = 4096.5 + 900.0, 4096.5 - 500.0
    x, y = x0 + rng.normal(0, 3, 50), y0 + rng.normal(0, 3, 50)
    east, north = celestial_offsets(frame, (x0, y0), x, y)
    centre = SkyCoord(*frame.to_world(x0, y0), unit="deg")
    expected = centre.spherical_offsets_to(SkyCoord(*frame.to_world(x, y), unit="deg"))
    np.testing.assert_allclose(east, expected[0].to_value(u.arcsec), atol=2e-7)
    np.testing.assert_allclose(north, expected[1].to_value(u.arcsec), atol=2e-7)
    if dec > 80:
        assert np.abs(north - 0.492 * (y - y0)).max() > 0.1


@given(
    st.floats(0, 359.999), st.floats(-89.9, 89.9), st.floats(-20, 20), st.floats(-20, 20), st.floats(-60, 60)
)
def test_positions_from_offsets_come_back(ra, dec, east, north, field):
    new = offset_position(ra, dec, east, north)
    frame = SkyFrame(ra, np.clip(dec + field / 60, -89, 89), 0.0, 0.0, -0.492 / 3600, 0.492 / 3600)
    (x0, y0), (x, y) = frame.to_sky(ra, dec), frame.to_sky(*new)
    found = celestial_offsets(frame, (float(x0), float(y0)), x, y)
    np.testing.assert_allclose(found, (east, north), atol=1e-6)
    distance = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(*new, unit="deg")).arcsec
    assert distance == pytest.approx(np.hypot(east, north), rel=1e-6, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
@settings(max_examples=60)
def test_afterglows_are_successive_events_close_by(seed, n):
    rng = np.random.default_rng(seed)
    # int16 columns near their end: differences must not wrap.
    events = Events(
        ccd_id=rng.integers(6, 8, 30).astype(np.int16),
        chipx=rng.choice(np.array([1, 2, 3, 5, 1023], dtype=np.int16), 30),
        chipy=rng.choice(np.array([32766, 32767, -32768], dtype=np.int16), 30),
        expno=rng.integers(0, 25, 30).astype(np.int32),
        time=rng.permutation(30).astype(float),
    )
    chosen = rng.permutation(30)[:n]
    found = suspected_afterglows(events, chosen)
    expected = np.zeros(n, dtype=bool)
    in_time = sorted(range(n), key=lambda i: events.time[chosen[i]])
    for i, j in pairwise(in_time):
        a, b = int(chosen[i]), int(chosen[j])
        same = events.ccd_id[a] == events.ccd_id[b]
        steps = [abs(int(v[a]) - int(v[b])) for v in (events.expno, events.chipx, events.chipy)]
        if same and steps[0] <= 3 and max(steps[1:]) <= 1:
            expected[[i, j]] = True
    np.testing.assert_array_equal(found, expected)


def test_without_frames_nothing_can_be_said():
    none = np.arange(4)
    assert suspected_afterglows(Events(none, none, none, None, none * 1.0), none) is None
    assert suspected_afterglows(Events(none, None, none, none, none * 1.0), none) is None


def test_distant_pixels_are_distant_in_narrow_columns():
    """A difference of 65535 must not come round to 1."""
    two = np.arange(2)
    ends = np.array([32767, -32768], dtype=np.int16)
    events = Events(np.full(2, 7, np.int16), ends, np.ones(2, np.int16), two.astype(np.int32), two * 3.2)
    assert suspected_afterglows(events, two).tolist() == [False, False]
    events.chipx = np.array([4, 5], dtype=np.int16)
    assert suspected_afterglows(events, two).tolist() == [True, True]
