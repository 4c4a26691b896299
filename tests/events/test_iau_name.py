"""Names from positions: truncated, never rounded, never one unit low through float noise."""

from __future__ import annotations

import re
from fractions import Fraction
from math import nextafter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceTableError
from catalog.events.angle_text import parse_position
from catalog.events.iau_name import TOLERANCE_ARCSEC, iau_name, unique_names

PATTERN = re.compile(r"CXOU J(\d\d)(\d\d)(\d\d(?:\.\d+)?)([+-])(\d\d)(\d\d)(\d\d(?:\.\d+)?)")
NOISE = Fraction(TOLERANCE_ARCSEC) / 3600


def fields(name: str) -> tuple[Fraction, Fraction, str]:
    """RA (deg), |Dec| (deg) and sign in a name, exactly."""
    match = PATTERN.fullmatch(name)
    assert match, name
    hours, minutes, seconds, sign, degrees, arcmin, arcsec = match.groups()
    assert int(hours) < 24
    assert int(minutes) < 60
    assert Fraction(seconds) < 60
    assert int(arcmin) < 60
    assert Fraction(arcsec) < 60
    ra = (int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)) / 240
    dec = (int(degrees) * 3600 + int(arcmin) * 60 + Fraction(arcsec)) / 3600
    return ra, dec, sign


def test_the_example_of_the_cds_registry() -> None:
    # http://vizier.cfa.harvard.edu/viz-bin/DicForm: RA 19h57m40.558s, Dec +33d38m27.96s
    ra, dec = parse_position("19 57 40.558 +33 38 27.96")
    assert iau_name(ra, dec, "") == "J195740.55+333827.9"
    assert iau_name(ra, dec) == "CXOU J195740.55+333827.9"


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90), st.integers(0, 6), st.integers(0, 6))
def test_a_name_is_the_position_truncated(ra: float, dec: float, ra_digits: int, dec_digits: int) -> None:
    named_ra, named_dec, sign = fields(iau_name(ra, dec, "CXOU", ra_digits, dec_digits))
    exact_ra, height = Fraction(ra), abs(Fraction(dec))
    if exact_ra + NOISE >= 360:
        exact_ra -= 360
    assert named_ra <= exact_ra + NOISE
    assert exact_ra < named_ra + Fraction(1, 240 * 10**ra_digits)
    assert named_dec <= height + NOISE
    assert height < named_dec + Fraction(1, 3600 * 10**dec_digits)
    assert (sign == "-") == (dec < 0 and height >= NOISE)


@given(st.integers(0, 24 * 3600 * 100 - 1), st.integers(-90 * 36000, 90 * 36000), st.integers(-3, 3))
def test_positions_on_a_boundary_do_not_lose_a_unit(ra_unit: int, dec_unit: int, ulps: int) -> None:
    ra, dec = 15 * (ra_unit / 360000), dec_unit / 36000
    for _ in range(abs(ulps)):
        ra = max(0.0, nextafter(ra, ulps * 1e3))
        dec = min(90.0, max(-90.0, nextafter(dec, ulps * 1e3)))
    named_ra, named_dec, sign = fields(iau_name(ra, dec))
    assert named_ra * 24000 == ra_unit
    assert named_dec * 36000 == abs(dec_unit)
    assert sign == ("-" if dec_unit < 0 else "+")


def test_a_real_difference_below_a_boundary_is_kept() -> None:
    ra = 15 * (10 + 20 / 60 + 30.12 / 3600)
    assert iau_name(ra, 10.0).startswith("CXOU J102030.12")
    assert iau_name(ra - 1e-7 / 3600, 10.0).startswith("CXOU J102030.11")


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, 0.0, "CXOU J000000.00+000000.0"),
        (360.0, -0.0, "CXOU J000000.00+000000.0"),
        (359.99999999999994, 0.0, "CXOU J000000.00+000000.0"),
        (359.9999999, 0.0, "CXOU J235959.99+000000.0"),
        (10.0, 90.0, "CXOU J004000.00+900000.0"),
        (10.0, -90.0, "CXOU J004000.00-900000.0"),
        (10.0, 89.99999999, "CXOU J004000.00+895959.9"),
        (10.0, -0.5 / 3600, "CXOU J004000.00-000000.5"),
        (10.0, -0.01 / 3600, "CXOU J004000.00-000000.0"),
        (15 * 59.999 / 3600, 59.99 / 3600, "CXOU J000059.99+000059.9"),
    ],
)
def test_edges_of_the_sky(ra: float, dec: float, name: str) -> None:
    assert iau_name(ra, dec) == name


def test_without_decimals_there_is_no_point() -> None:
    assert iau_name(150.5, -10.5, ra_digits=0, dec_digits=0) == "CXOU J100200-103000"


@pytest.mark.parametrize(
    "position", [(400.0, 0.0), (-1.0, 0.0), (0.0, 91.0), (float("nan"), 0.0), (0.0, float("nan"))]
)
def test_positions_off_the_sky_have_no_name(position: tuple[float, float]) -> None:
    with pytest.raises(SourceTableError) as caught:
        iau_name(*position)
    assert caught.value.code == "COORDINATE_RANGE"


@pytest.mark.parametrize("digits", [-1, 10])
def test_an_impossible_number_of_digits_is_refused(digits: int) -> None:
    with pytest.raises(ValueError, match="decimals"):
        iau_name(1.0, 1.0, ra_digits=digits)


def test_equal_names_are_lengthened_within_their_pair_only() -> None:
    ra = [150.0, 150.00001, 200.0]
    dec = [2.0, 2.0, 2.0]
    names, collisions = unique_names(ra, dec)
    assert names == ["CXOU J100000.000+020000.00", "CXOU J100000.002+020000.00", "CXOU J132000.00+020000.0"]
    (collision,) = collisions
    assert (collision.name, collision.rows, collision.identical) == (
        "CXOU J100000.00+020000.0",
        (0, 1),
        False,
    )
    assert collision.names == tuple(names[:2])


def test_identical_positions_are_reported_and_keep_their_name() -> None:
    names, (collision,) = unique_names([10.0, 20.0, 10.0], [1.0, 1.0, 1.0])
    assert names[0] == names[2] == "CXOU J004000.00+010000.0"
    assert collision.identical
    assert collision.rows == (0, 2)


def test_two_identical_ones_do_not_keep_a_third_from_being_parted() -> None:
    names, (collision,) = unique_names([10.0, 10.0, 10.00001], [1.0, 1.0, 1.0])
    assert collision.identical
    assert names[0] == names[1] != names[2]
    assert len(names[0]) == len(names[2])


def test_a_group_is_lengthened_until_its_closest_two_differ() -> None:
    names, (collision,) = unique_names([10.0, 10.00001, 10.0 + 1e-8], [1.0, 1.0, 1.0])
    assert len(set(names)) == 3
    assert len({len(name) for name in names}) == 1
    assert not collision.identical


def test_many_lengths_are_tried() -> None:
    names, (collision,) = unique_names([10.0, 10.0 + 1e-8], [1.0, 1.0])
    assert len(set(names)) == 2
    assert not collision.identical
    assert names[0] == iau_name(10.0, 1.0, "CXOU", 6, 5)


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(-300, 300)).map(lambda p: (10 + p[0] * 1e-6, p[1] * 1e-6)),
        min_size=1,
        max_size=25,
    )
)
def test_names_are_unique_exactly_when_positions_are(positions: list[tuple[float, float]]) -> None:
    ra, dec = np.array(positions).T
    names, collisions = unique_names(ra, dec)
    assert len(set(names)) == len(set(positions))
    backwards, _ = unique_names(ra[::-1], dec[::-1])
    assert backwards[::-1] == names
    touched = {row for collision in collisions for row in collision.rows}
    for row, (a, d) in enumerate(positions):
        assert row in touched or names[row] == iau_name(a, d)


def test_empty_and_scalar_input() -> None:
    assert unique_names([], []) == ([], [])
    assert unique_names(10.0, 1.0)[0] == ["CXOU J004000.00+010000.0"]
