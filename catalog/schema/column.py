"""What is known of one column: the unit of the registry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["int", "bigint", "float", "text", "bool", "json", "binary", "time"]


@dataclass(frozen=True)
class ColumnDefinition:
    """One column of a table or view.

    Attributes
    ----------
    name
        Name in SQL and in exports of the default style.
    kind
        Data type; `json` and `binary` columns stay in the database.
    unit
        Unit in FITS notation (one the standard and astropy both read), empty for none.
    ucd
        UCD1+ word or words.
    description
        One sentence without the unit.
    digits
        Significant digits in text output, None for whole numbers and text; negative: decimals.
    null
        What NULL means here; empty where NULL never occurs.
    mrt
        Label in machine-readable tables (CDS habits: b_ and B_ for bounds, f_ for flags).
    """

    name: str
    kind: Kind
    unit: str
    ucd: str
    description: str
    digits: int | None = None
    null: str = ""
    mrt: str = ""

    @property
    def label(self) -> str:
        """MRT label; the name where no shorter one is given."""
        return self.mrt or self.name

    @property
    def exported(self) -> bool:
        """Whether the column can stand in a table for people."""
        return self.kind not in ("json", "binary")

    def for_band(self, suffix: str, band: str, limits: str) -> ColumnDefinition:
        """Return the definition of this column for one band of the wide view."""
        return replace(
            self,
            name=f"{self.name}_{suffix}",
            description=f"{self.description} [{band}, {limits} keV]",
            mrt=f"{self.label}-{suffix}",
        )
