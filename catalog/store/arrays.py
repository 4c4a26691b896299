"""Typed, compressed arrays for binary columns: small, self-describing, the same bytes every time."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"SA1"
_LEVEL = 4
"""Of compression: half the time of level 6 for 1 % more bytes."""


def pack(array: NDArray[Any]) -> bytes:
    """Return the bytes of an array: a header with type and shape, then the zlib-compressed values.

    Raises
    ------
    ValueError
        For structured and object arrays: a header cannot tell what they hold.
    """
    if array.dtype.hasobject or array.dtype.fields is not None or array.dtype.kind == "V":
        raise ValueError(f"an array of type {array.dtype} cannot be packed: pack its columns")
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    shape = ",".join(str(length) for length in little.shape)
    header = f"{little.dtype.str};{shape}".encode("ascii")
    return _MAGIC + bytes([len(header)]) + header + zlib.compress(little.tobytes(), _LEVEL)


def unpack(data: bytes) -> NDArray[Any]:
    """Return the array that `pack` wrote.

    Raises
    ------
    ValueError
        When the bytes are none of ours, or damaged.
    """
    if data[:3] != _MAGIC:
        raise ValueError("not a packed array")
    end = 4 + data[3]
    dtype, shape = data[4:end].decode("ascii").split(";")
    lengths = tuple(int(part) for part in shape.split(",") if part)
    try:
        values = zlib.decompress(data[end:])
    except zlib.error as error:
        raise ValueError(f"a damaged packed array: {error}") from None
    return np.frombuffer(values, dtype=np.dtype(dtype)).reshape(lengths)
