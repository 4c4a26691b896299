"""DATASUM and CHECKSUM of a FITS extension written in pieces (FITS standard 4.0, appendix J)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from astropy.io import fits

_LARGEST = 0xFFFFFFFF
_PUNCTUATION = (*range(0x3A, 0x41), *range(0x5B, 0x61))
_EMPTY = "0" * 16


def add_words(total: int, data: bytes) -> int:
    """Add the 32-bit words of bytes, a multiple of 4, to a sum with carry from the end to the beginning."""
    total += int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total > _LARGEST:
        total = (total >> 32) + (total & _LARGEST)
    return total


def data_sum(blocks: Iterable[bytes]) -> int:
    """Return the sum of data given in pieces of a multiple of 4 bytes."""
    total = 0
    for block in blocks:
        total = add_words(total, block)
    return total


def encoded(total: int) -> str:
    """Return the 16 characters that bring the sum of header and data to all ones."""
    complement = _LARGEST - total
    rows = []
    for shift in (24, 16, 8, 0):
        quotient, rest = divmod((complement >> shift) & 0xFF, 4)
        characters = [quotient + rest + 0x30, quotient + 0x30, quotient + 0x30, quotient + 0x30]
        while any(character in _PUNCTUATION for character in characters):
            for i in (0, 2):
                if characters[i] in _PUNCTUATION or characters[i + 1] in _PUNCTUATION:
                    characters[i] += 1
                    characters[i + 1] -= 1
        rows.append(characters)
    text = "".join(chr(rows[word][byte]) for byte in range(4) for word in range(4))
    # The keyword's value begins in the last byte of a word.
    return text[-1] + text[:-1]


def sign(header: fits.Header, total: int) -> None:
    """Set DATASUM and CHECKSUM of a header whose data have the sum `total`."""
    header["DATASUM"] = (str(total), "data unit checksum")
    header["CHECKSUM"] = (_EMPTY, "HDU checksum")
    header["CHECKSUM"] = encoded(add_words(total, header.tostring().encode("ascii")))
