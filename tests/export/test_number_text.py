"""Digits: enough of them, no more, and the same as exact decimal arithmetic gives."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.export.number_text import (
    bound,
    column_format,
    decimals_of,
    power_of_ten,
    significant,
    with_errors,
)

SIZES = st.floats(1e-20, 1e20)


@pytest.mark.parametrize(
    ("value", "lower", "upper", "expected"),
    [
        (12.34, 8.76, 16.78, ("12.3", "4.4", "3.6")),
        (0.5, 0.4, 0.7, ("0.50", "0.20", "0.10")),
        (12345.0, 11111.0, 13690.0, ("12300", "1300", "1200")),
        (9.0, 8.004, 10.0, ("9.0", "1.0", "1.0")),
        (1.0, 1.0, 1.5, ("1.00", "0.50", "0.00")),
        (3.14159, 3.14159, 3.14159, ("3.14", "0.00", "0.00")),
        (-0.5, -0.9, -0.1, ("-0.50", "0.40", "0.40")),
    ],
)
def test_with_errors(value: float, lower: float, upper: float, expected: tuple[str, str, str]) -> None:
    assert with_errors(value, lower, upper) == expected


@given(value=SIZES, digits=st.integers(1, 12))
def test_significant_agrees_with_decimal(value: float, digits: int) -> None:
    text = significant(value, digits)
    assert "e" not in text.lower()
    assert abs(Decimal(text) - Decimal(value)) <= Decimal(value) * Decimal("0.50001") * Decimal(10) ** (
        1 - digits
    )


@given(value=SIZES, digits=st.integers(1, 12))
def test_decimals_leave_that_many_digits(value: float, digits: int) -> None:
    scaled = round(Decimal(value).scaleb(decimals_of(value, digits)))
    # 9.96 to two digits is 10, and 9.949999 is 9.9: never a digit too many.
    assert 10 ** (digits - 1) <= scaled <= 10**digits


@given(st.floats(1e-10, 1e10), st.floats(0.01, 0.99), st.floats(1.01, 10))
def test_errors_have_two_digits(value: float, below: float, above: float) -> None:
    lower, upper = value * below, value * above
    _, plus, minus = with_errors(value, lower, upper)
    smaller = min(Decimal(plus), Decimal(minus))
    assert len(smaller.normalize().as_tuple().digits) <= 2
    assert float(smaller) == pytest.approx(min(upper - value, value - lower), rel=0.051, abs=0.0)


def test_zero_and_signs() -> None:
    assert significant(0.0, 4) == "0"
    assert significant(-0.00001, -3) == "0.000"
    assert bound(2.1234) == "2.12"
    assert decimals_of(9.96, 2) == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3e-15, 5e-14, 2e-14], -14),
        ([1.0, 20.0], 0),
        ([0.0, np.nan], 0),
        ([], 0),
        ([2e7], 7),
        ([5e-3, 5e-3], -3),
    ],
)
def test_power_of_ten(values: list[float], expected: int) -> None:
    assert power_of_ten(np.array(values)) == expected


def test_column_formats() -> None:
    assert column_format(np.array([1.0, 20.0]), 3) == ("F2", ".2f")
    assert column_format(np.array([1e-15, 1e-13]), 4) == ("E3", ".3E")
    assert column_format(np.array([12345678.0]), 3)[0] == "E2"
    assert column_format(np.array([180.0]), -7) == ("F7", ".7f")
    assert column_format(np.array([]), 4)[0] == "F1"
