"""Values of a coordinate column in degrees, by its unit or, for text, by how each cell is written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from catalog.errors import SourceTableError
from catalog.events.angle_text import is_sexagesimal, parse_dec, parse_number, parse_ra
from catalog.events.table_column import TableColumn

_DEGREES_PER_UNIT = {
    **dict.fromkeys(("", "deg", "degree", "degrees", "d", "deg.", "°", "angle[deg]"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians"), 180 / np.pi),
    **dict.fromkeys(("arcmin", "amin", "arcminute"), 1 / 60),
    **dict.fromkeys(("arcsec", "asec", "arcsecond"), 1 / 3600),
    "mas": 1 / 3.6e6,
}
HOUR_UNITS = ("hourangle", "h", "hr", "hour", "hours")
SEXAGESIMAL_HOURS = ('"h:m:s"', "h:m:s", "hms", "hh:mm:ss", "hh:mm:ss.s", "hh:mm:ss.ss")
SEXAGESIMAL_DEGREES = ('"d:m:s"', "d:m:s", "dms", "dd:mm:ss", "dd:mm:ss.s")


def column_degrees(column: TableColumn, axis: str, origin: str) -> NDArray[np.float64]:
    """Return the values of a coordinate column in degrees of its own frame.

    Parameters
    ----------
    column
        Numbers with a unit (degrees when it has none), or text: numbers and sexagesimal angles.
    axis
        ``RA`` (sexagesimal in hours), ``Dec`` or a galactic axis.
    origin
        File and table, for messages.

    Returns
    -------
    ndarray of float, shape (rows,)
        Finite; not checked against the sphere.

    Raises
    ------
    SourceTableError
        COORDINATE_MISSING, COORDINATE_TEXT or COORDINATE_RANGE with the 1-based row; COORDINATE_UNIT for a
        unit that is no angle or that contradicts the values.
    """
    if column.missing.any():
        row = int(np.flatnonzero(column.missing)[0]) + 1
        raise SourceTableError(
            f"no value of {axis} in row {row}",
            f"{origin}, column {column.name}",
            "give it a position or remove the row",
            code="COORDINATE_MISSING",
        )
    unit = column.unit.strip().lower()
    factor = _DEGREES_PER_UNIT.get(unit)
    if unit in HOUR_UNITS and axis == "RA":
        factor = 15.0
    sexagesimal = unit in (SEXAGESIMAL_HOURS if axis == "RA" else SEXAGESIMAL_DEGREES)
    if factor is None and not (sexagesimal and column.is_text):
        raise SourceTableError(
            f"unit {column.unit!r} is no angle for {axis}",
            f"{origin}, column {column.name}",
            "use deg, rad, hourangle or sexagesimal text",
            code="COORDINATE_UNIT",
        )
    if factor is not None and not column.is_text:
        return np.asarray(column.values, dtype=np.float64) * factor
    parse = parse_ra if axis == "RA" else parse_dec
    read = _read_cell(parse, axis, factor, unit)
    result = np.empty(len(column.values))
    for row, cell in enumerate(column.values.tolist()):
        try:
            result[row] = read(cell)
        except SourceTableError as error:
            where = f"{origin}, row {row + 1}, column {column.name}, value {cell!r}"
            raise SourceTableError(error.what, where, error.todo, code=error.code) from None
    return result


def _read_cell(
    parse: Callable[[str], float], axis: str, factor: float | None, unit: str
) -> Callable[[str], float]:
    """A function from a cell of text to degrees."""

    def read(cell: str) -> float:
        if (number := parse_number(cell)) is not None:
            if factor is None:
                raise SourceTableError(
                    f"not a sexagesimal {axis}", cell, "correct it", code="COORDINATE_TEXT"
                )
            return number * factor
        if factor not in (None, 1.0, 15.0):
            raise SourceTableError(
                f"sexagesimal {axis} in a column of {unit}", cell, "correct the unit", code="COORDINATE_UNIT"
            )
        if axis == "RA" and unit and factor == 1.0 and is_sexagesimal(cell):
            raise SourceTableError(
                "sexagesimal RA in a column of degrees",
                cell,
                "remove the unit for hours, or write 246d53m16s for degrees",
                code="COORDINATE_UNIT",
            )
        return parse(cell)

    return read
