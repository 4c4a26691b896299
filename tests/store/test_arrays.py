"""Packed arrays come back as they were, and one array has one form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from catalog.store.arrays import pack, unpack

DTYPES = st.one_of(
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(32, 64)),
    npst.boolean_dtypes(),
    npst.unicode_string_dtypes(endianness="?", max_len=5),
)
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))


@given(ARRAYS)
def test_round_trip(array: NDArray[Any]) -> None:
    back = unpack(pack(array))
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    # Bit for bit: NaN payloads and negative zeros too.
    assert back.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


@given(ARRAYS)
def test_one_content_has_one_form(array: NDArray[Any]) -> None:
    packed = pack(array)
    assert packed == pack(array.copy())
    assert packed == pack(array.copy(order="F"))
    assert packed == pack(array.astype(array.dtype.newbyteorder(">")))


def test_a_view_with_strides_is_packed_by_value() -> None:
    array = np.arange(40.0).reshape(5, 8)[::-2, 1::3]
    np.testing.assert_array_equal(unpack(pack(array)), array)


def test_same_bytes_in_another_process() -> None:
    code = (
        "import sys, numpy as np; from catalog.store.arrays import pack;"
        "sys.stdout.write(pack(np.arange(1000) ** 2.5).hex())"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert bytes.fromhex(run.stdout) == pack(np.arange(1000) ** 2.5)


def test_compresses_and_describes_itself() -> None:
    packed = pack(np.zeros((1024, 3), dtype="i4"))
    assert len(packed) < 200
    assert packed.startswith(b"SA1\x0a<i4;1024,3")


@pytest.mark.parametrize("data", [b"", b"SA", b"XX1" + b"\0" * 20, b"not an array at all"])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a packed array"):
        unpack(data)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_damaged_bytes_are_refused(cut: int) -> None:
    packed = pack(np.random.default_rng(1).normal(size=50))
    with pytest.raises(ValueError, match="damaged"):
        unpack(packed[:-cut])
    with pytest.raises(ValueError, match="damaged"):
        unpack(packed[:-cut] + bytes(cut))


@pytest.mark.parametrize("array", [np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), np.array([None])])
def test_what_a_header_cannot_describe_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="cannot be packed"):
        pack(array)
