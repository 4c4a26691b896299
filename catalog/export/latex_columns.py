"""Columns of a LaTeX table: which ones a page has room for, and their cells."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from catalog.band import CSC_SUFFIX
from catalog.export.band_columns import join_band, limit_names
from catalog.export.number_text import bound, power_of_ten, significant, with_errors
from catalog.export.table import ExportTable
from catalog.schema.column import ColumnDefinition

NO_DATA = r"\nodata"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    # At the head of a row these would be an argument of the line end before it.
    "[": "{[}",
    "*": "{*}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_SIGN = re.compile(r"(?<=\d)-(?=\d)")
_POWER = re.compile(r"(?P<name>[A-Za-z]+)(?P<power>[+-]?\d+)")


@dataclass(frozen=True)
class LatexColumn:
    """One column of the page: head, unit with its power of ten, alignment, cells, and what it means."""

    head: str
    unit: str
    align: str
    cells: list[str]
    meaning: str


def latex_columns(table: ExportTable) -> list[LatexColumn]:
    """Return the columns to print.

    A value and the ends of its interval make one column. Without a choice of the user's: identity,
    position, counts, net counts, flux and significance of the first band that is there.
    """
    definitions = {definition.name: definition for definition in table.definitions}
    names = list(definitions) if table.chosen else _default_names(table.name, definitions)
    limits = {limit for name in names for limit in limit_names(name) or ()}
    return [
        _column(table, definitions[name])
        for name in names
        if name not in limits or not _owner_present(name, names)
    ]


def _owner_present(limit: str, names: list[str]) -> bool:
    return any(limit in (limit_names(name) or ()) for name in names)


def _default_names(view: str, definitions: dict[str, ColumnDefinition]) -> list[str]:
    measured = ("cnts_aper", "src_cnts_aper", "flux_aper", "src_significance")
    if view == "detections":
        wanted = ["name", "obs_id", "band", "theta", *measured, "flags"]
    else:
        bands = [s for s in CSC_SUFFIX.values() if join_band("src_cnts_aper", s) in definitions]
        wanted = ["name", "ra", "dec", "n_obs", "theta_mean"]
        wanted += [join_band(name, bands[0]) for name in measured if bands]
        wanted.append("flags")
    return [name for name in wanted if name in definitions]


def _column(table: ExportTable, definition: ColumnDefinition) -> LatexColumn:
    values, null = table.values[definition.name], table.mask(definition.name)
    exponent = 0
    if definition.kind == "float":
        cells, exponent = _float_cells(table, definition)
    elif definition.kind in ("int", "bigint"):
        cells = [str(value) for value in values.filled(0)]
    elif definition.kind == "bool":
        cells = ["yes" if value else "no" for value in values.filled(False)]
    else:
        cells = [_SIGN.sub("$-$", escape(str(value))) for value in values.filled("")]
    cells = [NO_DATA if missing else cell for missing, cell in zip(null, cells, strict=True)]
    return LatexColumn(
        head=escape(definition.label),
        unit=_unit_head(definition.unit, exponent),
        align="l" if definition.kind in ("text", "time") else "r",
        cells=cells,
        meaning=escape(definition.description),
    )


def _float_cells(table: ExportTable, definition: ColumnDefinition) -> tuple[list[str], int]:
    name, digits = definition.name, definition.digits or 7
    values = table.values[name].filled(np.nan)
    limits = limit_names(name)
    if limits is None or not all(limit in table for limit in limits):
        exponent = power_of_ten(values) if digits > 0 else 0
        return [_number(value / 10.0**exponent, digits) for value in values], exponent
    lower, upper = (table.column(limit).filled(np.nan) for limit in limits)
    bounds = table.bound_only(name)
    exponent = power_of_ten(np.where(bounds, upper, values))
    scale = 10.0**-exponent
    cells = [
        _interval(float(v) * scale, float(lo) * scale, float(hi) * scale, bool(only), digits)
        for v, lo, hi, only in zip(values, lower, upper, bounds, strict=True)
    ]
    return cells, exponent


def _number(value: float, digits: int) -> str:
    if not np.isfinite(value):
        return NO_DATA
    return _in_math(significant(float(value), digits))


def _interval(value: float, lower: float, upper: float, only_bound: bool, digits: int) -> str:
    if only_bound and np.isfinite(upper):
        return f"$<{bound(upper)}$"
    if not np.isfinite(value):
        return NO_DATA
    if not (np.isfinite(lower) and np.isfinite(upper)):
        return _number(value, digits)
    text, plus, minus = with_errors(value, lower, upper)
    return f"${text}^{{+{plus}}}_{{-{minus}}}$"


def _in_math(text: str) -> str:
    return f"${text}$" if text.startswith("-") else text


def _unit_head(unit: str, exponent: int) -> str:
    powered = " ".join(
        f"{match['name']}$^{{{match['power']}}}$" if (match := _POWER.fullmatch(part)) else part
        for part in unit.split()
    )
    factor = f"$10^{{{exponent}}}$" if exponent else ""
    text = " ".join(part for part in (factor, powered) if part)
    return f"({text})" if text else ""


def escape(text: str) -> str:
    """Return plain text with the characters that LaTeX would take for commands escaped."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))
