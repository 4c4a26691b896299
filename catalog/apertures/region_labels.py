"""Whose region a shape of a file is: label and tags of ds9, columns of a FITS table, or the shape before it.

Tags that srccat writes: ``id 12``, ``obs 4600``, ``source`` or ``background``, ``recipe default``; ``marker``
and ``mask`` mark what is only to be looked at. Without tags, the text is number, name or label of the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.apertures.ds9_reader import read_ds9
from catalog.apertures.region import Region
from catalog.apertures.written_shape import WrittenShape
from catalog.errors import InputFileError, MissingFileError

ROLES = ("source", "background")
_LOOKED_AT = frozenset({"marker", "mask"})


@dataclass(frozen=True)
class LabelledRegion:
    """What a file says of one region; an empty label is not given.

    Attributes
    ----------
    source, obs_id, role, recipe
        Labels.
    where
        File and line or row.
    shapes
        Shapes of ds9 text, to be placed on the sky of the observation; None for a FITS table.
    region
        Region of a FITS table, in sky pixels; None for ds9 text.
    """

    source: str
    obs_id: str
    role: str
    recipe: str
    where: str
    shapes: tuple[WrittenShape, ...] | None = None
    region: Region | None = None


def read_labelled_regions(
    path: Path, *, source: str = "", obs_id: str = "", role: str = "", recipe: str = ""
) -> list[LabelledRegion]:
    """Read a region file, ds9 or CIAO text or a CIAO FITS table; shapes with equal labels are one region.

    Parameters
    ----------
    path
        The file.
    source, obs_id, role, recipe
        Labels of all its regions, whatever the file says.

    Raises
    ------
    MissingFileError
        No such file.
    InputFileError
        REGION_FILE for a file that is neither, NO_REGIONS for one without a region, and what the
        readers raise.
    """
    try:
        start = path.read_bytes()[:9]
    except FileNotFoundError:
        raise MissingFileError("no such region file", path, "check the path") from None
    except OSError as error:
        raise InputFileError(
            f"the region file cannot be read ({error.strerror})", path, "check the path", code="REGION_FILE"
        ) from None
    given = (source, obs_id, role, recipe)
    if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        found = _from_table(path, given)
    else:
        found = _from_text(path, given)
    if not found:
        raise InputFileError(
            "no region in this file", path, "give one with shapes of ds9 or CIAO", code="NO_REGIONS"
        )
    return found


def _from_table(path: Path, given: Sequence[str]) -> list[LabelledRegion]:
    result = []
    from catalog.apertures.fits_regions import read_fits_regions

    for item in read_fits_regions(path):
        own = (item.source, item.obs_id, item.role, item.recipe)
        source, obs_id, role, recipe = (a or b for a, b in zip(given, own, strict=True))
        if item.role.lower() not in _LOOKED_AT:
            result.append(LabelledRegion(source, obs_id, role, recipe, item.where, region=item.region))
    return result


def _from_text(path: Path, given: Sequence[str]) -> list[LabelledRegion]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputFileError(
            "neither region text nor a FITS table", path, "save the regions from ds9", code="REGION_FILE"
        ) from None
    groups: dict[tuple[str, ...], list[WrittenShape]] = {}
    last: tuple[str, ...] | None = None
    for shape in read_ds9(text, str(path)):
        if _LOOKED_AT.intersection(shape.tags):
            continue
        own = _labels(shape)
        # An excluded shape without a label belongs to the shape that it follows.
        if shape.excluded and last is not None and not (own[0] or own[1]):
            labels = last
        else:
            labels = tuple(a or b for a, b in zip(given, own, strict=True))
        groups.setdefault(labels, []).append(shape)
        last = labels
    return [
        LabelledRegion(labels[0], labels[1], labels[2], labels[3], shapes[0].where, shapes=tuple(shapes))
        for labels, shapes in groups.items()
    ]


def _labels(shape: WrittenShape) -> tuple[str, str, str, str]:
    """Source, ObsID, role and recipe of a shape, as far as it says."""
    named = {"id": "", "obs": "", "recipe": ""}
    role = shape.role or ""
    for tag in shape.tags:
        word, _, value = tag.strip().partition(" ")
        if word.lower() in named and value.strip():
            named[word.lower()] = value.strip()
        elif word.lower() in ROLES and not value:
            role = word.lower()
    return named["id"] or shape.text, named["obs"], role, named["recipe"]
