"""Positions and radii as text, against astropy and by construction."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Angle
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceTableError
from catalog.events.angle_text import (
    looks_like_position,
    parse_dec,
    parse_number,
    parse_position,
    parse_ra,
    parse_radius,
)

RA, DEC = 246.88797916666667, -24.687641666666668  # 16:27:33.115 -24:41:15.51

FORMS = [
    "16:27:33.115 -24:41:15.51",
    "16:27:33.115,-24:41:15.51",
    "16:27:33.115, -24:41:15.51",
    "16 27 33.115 -24 41 15.51",
    "16 27 33.115 - 24 41 15.51",
    "16 27 33.115, -24 41 15.51",
    "  16h27m33.115s   -24d41m15.51s ",
    "16h 27m 33.115s -24d 41m 15.51s",
    "16h27m33.115s,-24d41m15.51s",
    "16h27m33.115s-24d41m15.51s",
    "16:27:33.115-24:41:15.51",
    "16h27m33.115s −24°41′15.51″",
    "246.88797916666667 -24.687641666666668",
    "246.88797916666667,-24.687641666666668",
    "246.88797916666667d -24.687641666666668d",
    "2.4688797916666667e2 -2.4687641666666668e1",
    "246d53m16.725s -24d41m15.51s",
]


@pytest.mark.parametrize("text", FORMS)
def test_all_forms_of_one_position_agree(text: str) -> None:
    assert looks_like_position(text)
    np.testing.assert_allclose(parse_position(text), (RA, DEC), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "COORDINATE_TEXT"),
        ("246.888", "COORDINATE_TEXT"),
        ("1 2 3", "COORDINATE_TEXT"),
        ("1,2,3", "COORDINATE_TEXT"),
        ("a b", "COORDINATE_TEXT"),
        ("1 2 3 4 5", "COORDINATE_TEXT"),
        ("16:27:33.1 1h2m3s", "COORDINATE_TEXT"),
        ("16:27.5:33.1 -24", "COORDINATE_TEXT"),
        ("nan nan", "COORDINATE_TEXT"),
        ("400 10", "COORDINATE_RANGE"),
        ("-10 10", "COORDINATE_RANGE"),
        ("10 90.0001", "COORDINATE_RANGE"),
        ("10 -91", "COORDINATE_RANGE"),
        ("25:00:00 10", "COORDINATE_RANGE"),
        ("16:60:00 10", "COORDINATE_RANGE"),
        ("16:27:60.01 10", "COORDINATE_RANGE"),
        ("1e400 10", "COORDINATE_RANGE"),
    ],
)
def test_what_is_no_position_is_refused_with_its_code(text: str, code: str) -> None:
    with pytest.raises(SourceTableError) as caught:
        parse_position(text)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_seconds_printed_as_60_carry() -> None:
    assert parse_position("16:27:60.0 -00:59:60") == parse_position("16:28:00 -01:00:00")


def test_negative_zero_degrees_keep_their_sign() -> None:
    assert parse_dec("-00:00:36") == -0.01
    assert parse_dec("-0 0 36") == -0.01
    assert parse_dec("-0d0m36s") == -0.01


def test_24_hours_and_360_degrees_are_zero() -> None:
    assert parse_position("24:00:00 5") == (0.0, 5.0)
    assert parse_position("360 5") == (0.0, 5.0)


@given(
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59_999_999),
    st.sampled_from(["{}:{}:{}", "{} {} {}", "{}h{}m{}s", "{:02d}:{:02d}:{}"]),
)
def test_right_ascension_agrees_with_astropy(hours: int, minutes: int, micro: int, form: str) -> None:
    seconds = f"{micro // 10**6}.{micro % 10**6:06d}"
    expected = Angle(f"{hours}h{minutes}m{seconds}s").to_value(u.deg)
    assert parse_ra(form.format(hours, minutes, seconds)) == pytest.approx(expected, abs=2e-13)


@given(st.booleans(), st.integers(0, 89), st.integers(0, 59), st.integers(0, 59_999_999))
def test_declination_agrees_with_astropy(south: bool, degrees: int, minutes: int, micro: int) -> None:
    text = f"{'-' if south else '+'}{degrees:02d}:{minutes:02d}:{micro / 1e6:09.6f}"
    assert parse_dec(text) == pytest.approx(Angle(text, unit=u.deg).to_value(u.deg), abs=1e-13)


@given(st.floats(0, 359.9999), st.floats(-90, 90))
def test_decimal_degrees_come_back_exactly(ra: float, dec: float) -> None:
    assert parse_position(f"{ra!r} {dec!r}") == (ra, dec)
    assert parse_position(f"{ra!r},{dec!r}") == (ra, dec)


def test_numbers_are_decimal_only() -> None:
    assert parse_number("−1.5e1") == -15.0
    for text in ("1_000", "inf", "nan", "0x10", "", "1 2", "1.2.3"):
        assert parse_number(text) is None


def test_a_path_does_not_look_like_a_position() -> None:
    assert not looks_like_position("sources.fits")
    assert not looks_like_position("./246.csv")
    assert not looks_like_position("acisf04600.reg")


@pytest.mark.parametrize(
    ("text", "arcsec"),
    [
        ("5arcsec", 5),
        ("5 arcsec", 5),
        ('10"', 10),
        ("10″", 10),
        ("10''", 10),
        ("2'", 120),
        ("2arcmin", 120),
        ("0.1deg", 360),
        ("0.1 degrees", 360),
        ("0.1°", 360),
        ("500mas", 0.5),
        ("1e-5rad", 1e-5 * 206264.80624709636),
        ("180deg", 648000),
    ],
)
def test_radii_with_units(text: str, arcsec: float) -> None:
    assert parse_radius(text) * 3600 == pytest.approx(arcsec, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("5", "RADIUS_UNIT"),
        ("5 parsec", "RADIUS_UNIT"),
        ("5h", "RADIUS_UNIT"),
        ("arcsec", "RADIUS_TEXT"),
        ("", "RADIUS_TEXT"),
        ("-5arcsec", "RADIUS_RANGE"),
        ("0arcsec", "RADIUS_RANGE"),
        ("181deg", "RADIUS_RANGE"),
    ],
)
def test_bad_radii_are_refused(text: str, code: str) -> None:
    with pytest.raises(SourceTableError) as caught:
        parse_radius(text)
    assert caught.value.code == code
