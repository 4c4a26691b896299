"""Checksums of input files: how a replaced file is noticed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from catalog.errors import InputFileError, MissingFileError

_CHUNK = 1 << 20


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises
    ------
    MissingFileError
        There is no such file.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_CHUNK):
                digest.update(block)
    except FileNotFoundError:
        raise MissingFileError("no such file", path, "put it back, or correct the settings") from None
    return digest.hexdigest()


def check_unchanged(path: Path, sha256: str, kind: str) -> None:
    """Refuse a file that is gone, or is not the one that was added.

    Parameters
    ----------
    path, sha256
        The file as it was recorded.
    kind
        What it is, with its article.

    Raises
    ------
    MissingFileError, InputFileError
        It is gone, or its bytes are others (code FILE_CHANGED).
    """
    if not path.exists():
        raise MissingFileError(
            f"{kind} is gone",
            path,
            "put it back, or add its observation anew with `add observations --replace`",
        )
    if file_sha256(path) != sha256:
        raise InputFileError(
            f"{kind} was changed after it was added",
            path,
            "add its observation anew with `srccat add observations --replace`",
            code="FILE_CHANGED",
        )
