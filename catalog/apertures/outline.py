"""What makes a polygon's outline unusable: too few corners, no area, or lines that cross."""

from __future__ import annotations

from collections.abc import Sequence

import shapely
from shapely.validation import explain_validity

from catalog.errors import InputFileError

Corners = Sequence[tuple[float, float]]


def open_ring(corners: Corners) -> tuple[tuple[float, float], ...]:
    """Corners without those that repeat the one before, nor a last one that closes the ring."""
    kept = [corner for k, corner in enumerate(corners) if k == 0 or corner != corners[k - 1]]
    if len(kept) > 1 and kept[0] == kept[-1]:
        kept.pop()
    return tuple(kept)


def check_outline(corners: Corners, where: str) -> None:
    """Refuse a polygon that has no area or crosses itself.

    Raises
    ------
    InputFileError
        REGION_EMPTY, REGION_SELF_CROSSING with the place in sky pixels.
    """
    if len(corners) < 3 or not shapely.MultiPoint(corners).convex_hull.area > 0:
        raise no_area("polygon", where)
    outline = shapely.Polygon(corners)
    if not outline.is_valid:
        reason = explain_validity(outline)
        place = reason[reason.find("[") + 1 : reason.rfind("]")].split()
        at = f" at sky pixel {', '.join(f'{float(word):.1f}' for word in place)}" if place else ""
        raise InputFileError(
            f"the polygon crosses itself{at}", where, "draw it anew", code="REGION_SELF_CROSSING"
        )


def no_area(word: str, where: str) -> InputFileError:
    """Return the error for a shape without area."""
    return InputFileError(
        f"{with_article(word)} without area", where, "give it a size, inner before outer", code="REGION_EMPTY"
    )


def with_article(word: str) -> str:
    """A circle, an ellipse."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
