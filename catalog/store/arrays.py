"""Typed, compressed arrays for binary columns: small, self-describing, the same bytes every time."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"SA1"


def pack(array: NDArray[Any]) -> bytes:
    """Return the bytes of an array: a header with type and shape, then the zlib-compressed values."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    shape = ",".join(str(length) for length in little.shape)
    header = f"{little.dtype.str};{shape}".encode("ascii")
    return _MAGIC + bytes([len(header)]) + header + zlib.compress(little.tobytes(), 6)


def unpack(data: bytes) -> NDArray[Any]:
    """Return the array that `pack` wrote.

    Raises
    ------
    ValueError
        When the bytes are none of ours.
    """
    if data[:3] != _MAGIC:
        raise ValueError("not a packed array")
    end = 4 + data[3]
    dtype, shape = data[4:end].decode("ascii").split(";")
    lengths = tuple(int(part) for part in shape.split(",") if part)
    return np.frombuffer(zlib.decompress(data[end:]), dtype=np.dtype(dtype)).reshape(lengths)
