"""Registry: where the events of an aperture lie, and what of them may be afterglows."""

from __future__ import annotations

from catalog.schema.column import ColumnDefinition as Col

_NONE = "no events in the aperture"

COLUMNS = (
    *(
        Col(
            f"offset_{way}_aper",
            "float",
            "arcsec",
            f"pos.eq.{axis};arith.diff;stat.mean",
            f"Mean offset of the events in the source aperture from the position, to the {way}",
            4,
            _NONE,
        )
        for way, axis in (("east", "ra"), ("north", "dec"))
    ),
    Col(
        "afterglow_cnts_aper",
        "int",
        "count",
        "phot.count;instr.det",
        "Counts in the source aperture within 3 frames and 1 pixel of the event before or after",
        None,
        "nothing was measured, or the event list names no frames or pixels",
    ),
)
