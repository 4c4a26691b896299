"""ACIS Extract's keywords of fitted models as one table: a row for each source and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.export.fit_rows import FitRow
from catalog.export.styles.rows import StyleColumn

_PARAMETERS = (("NH", "fit_nh", "1e22"), ("PH", "fit_photon_index", ""), ("KT", "fit_kt", ""),
               ("KT2", "fit_kt2", ""), ("NORM", "fit_norm", ""), ("NORM2", "fit_norm2", ""))  # fmt: skip
_UNITS = {"NH": "10**22 cm**-2", "KT": "keV", "KT2": "keV"}
_FLUXES = {"s": "0P5_2", "h": "2_8", "t": "0P5_8"}
_FLUX_UNIT = "erg/cm**2/s"


def model_columns(rows: Sequence[FitRow]) -> list[StyleColumn]:
    """Columns by ACIS Extract's names: errors are 90 % limits, ERST tells why one is missing.

    F0P5_2, F2_8 and F0P5_8 are fluxes in the bands of `fit_rows`, FC... those corrected for absorption; U and
    L their limits.
    """
    columns = [
        _text("CATALOG_NAME", [row.name for row in rows]),
        _text("MODEL", [str(row.fit["model"]) for row in rows]),
        _text("SCOPE", [str(row.fit["fit_scope"]) for row in rows]),
        StyleColumn("BEST_MDL", "", np.array([bool(row.fit["preferred"]) for row in rows]), "L"),
        _text("PROVISNL", [row.fit["preference"] or "" for row in rows]),
        _text("STATUS", [row.fit["fit_status"] or "" for row in rows]),
        _number("DOF", rows, "degrees_of_freedom"),
        _statistic("CSTAT", rows, ("cstat", "wstat")),
        _statistic("CHI_SQR", rows, ("chi2",)),
    ]
    for name, column, scale in _PARAMETERS:
        unit, factor = _UNITS.get(name, ""), 1e-22 if scale else 1.0
        own = column.removeprefix("fit_")
        error = "NORMER" if name == "NORM" else f"{name}_ER"
        columns += [
            _number(name, rows, column, unit, factor),
            _number(f"{error}RU", rows, f"{column}_hilim", unit, factor),
            _number(f"{error}RL", rows, f"{column}_lolim", unit, factor),
            _text(f"{error}ST", [_status(row.fit, own) for row in rows]),
            StyleColumn(f"{name}_FZ", "", np.array([own in _frozen(row.fit) for row in rows]), "L"),
        ]
    for mark, column in (("F", "flux_fit"), ("FC", "uflux_fit")):
        for suffix, band in _FLUXES.items():
            for end, letter in (("", ""), ("_hilim", "U"), ("_lolim", "L")):
                values = [row.fluxes.get(suffix, {}).get(f"{column}{end}") for row in rows]
                columns.append(StyleColumn(f"{mark}{band}{letter}", _FLUX_UNIT, _floats(values)))
    return columns


def _frozen(fit: Mapping[str, Any]) -> set[str]:
    return set((fit["fit_frozen"] or "").split(","))


def _status(fit: Mapping[str, Any], name: str) -> str:
    """Letters of ACIS Extract: u and l where the upper or lower limit was not found."""
    if fit[f"fit_{name}"] is None or name in _frozen(fit):
        return ""
    return "".join(
        letter for letter, end in (("l", "_lolim"), ("u", "_hilim")) if fit[f"fit_{name}{end}"] is None
    )


def _floats(values: Sequence[Any], factor: float = 1.0) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else float(value) * factor for value in values])


def _number(
    name: str, rows: Sequence[FitRow], column: str, unit: str = "", factor: float = 1.0
) -> StyleColumn:
    return StyleColumn(name, unit, _floats([row.fit[column] for row in rows], factor))


def _statistic(name: str, rows: Sequence[FitRow], kinds: Sequence[str]) -> StyleColumn:
    values = [row.fit["statistic"] if row.fit["fit_statistic"] in kinds else None for row in rows]
    return StyleColumn(name, "", _floats(values))


def _text(name: str, values: Sequence[str]) -> StyleColumn:
    return StyleColumn(
        name, "", np.array([value.encode("ascii", "replace") for value in values] or [b""], np.bytes_), ""
    )
