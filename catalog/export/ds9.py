"""ds9 regions: the source apertures as circles on the sky, points where there is none."""

from __future__ import annotations

from catalog.export.astropy_table import ascii_only
from catalog.export.table import ExportTable


def region_bytes(table: ExportTable) -> bytes:
    """Return a ds9 region file in ICRS.

    `detections` gives the aperture of each source in each observation once, however many bands were
    measured in it, tagged with the observation; `catalog` gives a point for each source.
    """
    lines = [
        "# Region file format: DS9 version 4.1",
        f"# {table.metadata.get('creator', 'srccat')}, {table.name}, recipe {ascii_only(table.recipe)}",
        'global color=green width=1 font="helvetica 10 normal roman"',
        "icrs",
    ]
    shapes = dict.fromkeys(_shape(table, row) for row in range(len(table)))
    return "\n".join([*lines, *shapes, ""]).encode("ascii")


def _shape(table: ExportTable, row: int) -> str:
    ra, dec = float(table.column("ra")[row]), float(table.column("dec")[row])
    position = f"{ra:.7f},{dec:.7f}"
    text = _braced(str(table.column("name")[row]))
    tag = f" tag={_braced(str(table.column('obs_id')[row]))}" if "obs_id" in table else ""
    if "radius_aper" in table and not table.mask("radius_aper")[row]:
        radius = float(table.column("radius_aper")[row])
        return f'circle({position},{radius:.3f}") # text={text}{tag}'
    return f"point({position}) # point=cross text={text}{tag}"


def _braced(text: str) -> str:
    # A closing brace would end the text early, and ds9 knows no escape for it.
    return "{" + ascii_only(text).replace("{", "(").replace("}", ")") + "}"
