"""Region files of a catalog: ds9 text or a CIAO FITS table, with labels that `srccat regions add` reads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from catalog import __version__
from catalog.apertures.ds9_writer import ds9_label, ds9_lines, ds9_point
from catalog.apertures.fits_regions import FitsRegion, region_table
from catalog.errors import MissingFileError, SettingsError, UnknownNameError
from catalog.events.sky_frame import SkyFrame, read_sky_frame
from catalog.export.writers import write_whole
from catalog.measure.placement import sky_positions
from catalog.stages.base.field_choice import obs_id_of
from catalog.stages.base.project import Project
from catalog.stages.base.recipe_store import stored_recipes
from catalog.stages.base.work import FieldInput, field_inputs
from catalog.stages.contents.manage_sources import SourceRow, list_sources
from catalog.stages.contents.stored_regions import RegionChoice, StoredRegion, stored_regions

FRAMES = ("icrs", "physical")
_COLOURS = {"source": "green", "background": "#58b7ff", "mask": "red"}
_DRAWN = "magenta"


def export_regions(
    project: Project, path: Path, choice: RegionChoice, *, frame: str = "icrs", markers: bool = True
) -> int:
    """Write regions in force to a file and return how many.

    Parameters
    ----------
    project
        The project.
    path
        ``.reg`` for ds9, ``.fits`` for CIAO (sky pixels, one table for each observation).
    choice
        Which; without a recipe that of the name `default`, else the first.
    frame
        ``icrs`` or ``physical`` (sky pixels; of one observation), for ds9.
    markers
        Whether ds9 gets a cross at the position of each source.

    Raises
    ------
    SettingsError
        UNKNOWN_FORMAT for another suffix, UNSUPPORTED_FRAME, or sky pixels of several observations.
    UnknownNameError
        NO_REGIONS when there is none, and for names that the catalog does not have.
    MissingFileError
        The folder does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in (".reg", ".fits", ".fit"):
        raise SettingsError(
            "regions are written for ds9 or CIAO", path, "give a .reg or .fits name", code="UNKNOWN_FORMAT"
        )
    if frame not in FRAMES:
        raise SettingsError(
            "no such frame", frame, f"choose from {', '.join(FRAMES)}", code="UNSUPPORTED_FRAME"
        )
    if not path.parent.is_dir():
        raise MissingFileError("no such folder", path.parent, "create it first")
    with project.store.read() as connection:
        inputs = field_inputs(connection, project.settings)
        chosen = _with_recipe(choice, [stored.recipe.name for stored in stored_recipes(connection)])
        found = stored_regions(connection, inputs, chosen)
        sources = list_sources(connection)
    if not found:
        raise UnknownNameError(
            "no region to write", chosen.recipe, "`srccat run` makes them", code="NO_REGIONS"
        )
    fields = [item for item in inputs if item.event_set_id in {region.event_set_id for region in found}]
    if suffix == ".reg":
        if frame == "physical" and len(fields) > 1:
            known = ", ".join(obs_id_of(item) for item in fields)
            raise SettingsError("sky pixels belong to one observation", known, "choose one with --obs")
        write_whole(path, region_text(found, fields, sources if markers else (), frame).encode("ascii"))
    else:
        write_whole(path, region_hdus(found, fields))
    return len(found)


def _with_recipe(choice: RegionChoice, known: Sequence[str]) -> RegionChoice:
    name = choice.recipe or ("default" if "default" in known else known[0])
    return RegionChoice(choice.sources, choice.obs_id, choice.role, name)


def region_text(
    regions: Sequence[StoredRegion],
    fields: Sequence[FieldInput],
    marked: Sequence[SourceRow],
    frame: str = "icrs",
) -> str:
    """Return ds9 text of regions.

    Parameters
    ----------
    regions
        The regions.
    fields
        Their event sets.
    marked
        Sources that get a cross where they have a region.
    frame
        ``icrs`` or ``physical``.
    """
    lines = [
        "# Region file format: DS9 version 4.1",
        f"# srccat {__version__}, recipe {', '.join(sorted({item.recipe for item in regions}))}",
        'global color=green width=1 font="helvetica 10 normal roman"',
        frame,
    ]
    for item in fields:
        own = [region for region in regions if region.event_set_id == item.event_set_id]
        projection = read_sky_frame(item.path)
        shown = projection if frame == "icrs" else None
        # Backgrounds first: what ds9 draws last lies on top.
        for region in sorted(own, key=lambda entry: (entry.source_id, entry.role == "source")):
            lines += ds9_lines(region.region, shown, _properties(region))
        seen = {region.source_id for region in own}
        lines += _markers([row for row in marked if row.id in seen], item, projection, shown)
    return "\n".join([*lines, ""])


def _properties(item: StoredRegion) -> str:
    words = [f"color={_DRAWN if item.drawn else _COLOURS[item.role]}"]
    if item.role == "source":
        words.append(f"text={ds9_label(item.label or item.name.split()[-1])}")
    else:
        words.append("dash=1")
    tags = (f"id {item.source_id}", f"obs {item.obs_id}", item.role, f"recipe {item.recipe}")
    return " ".join([*words, *(f"tag={ds9_label(tag)}" for tag in tags)])


def _markers(
    rows: Sequence[SourceRow], field: FieldInput, projection: SkyFrame, shown: SkyFrame | None
) -> list[str]:
    if not rows:
        return []
    ra, dec = (np.array([getattr(row, name) for row in rows]) for name in ("ra", "dec"))
    x, y = sky_positions(projection, ra, dec, field.correction)
    tags = f"tag={{marker}} tag={ds9_label(f'obs {obs_id_of(field)}')}"
    return [
        ds9_point(a, b, shown, f"{tags} tag={ds9_label(f'id {row.id}')}")
        for row, a, b in zip(rows, x.tolist(), y.tolist(), strict=True)
    ]


def region_hdus(regions: Sequence[StoredRegion], fields: Sequence[FieldInput]) -> bytes:
    """Return a FITS file with one CIAO region table for each observation."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for number, item in enumerate(fields, start=1):
        own = [region for region in regions if region.event_set_id == item.event_set_id]
        table = region_table(
            [
                FitsRegion(entry.region, "", str(entry.source_id), entry.obs_id, entry.role, entry.recipe)
                for entry in own
            ]
        )
        table.header["EXTVER"] = number
        table.header["OBS_ID"] = obs_id_of(item)
        table.header["CREATOR"] = f"srccat {__version__}"
        hdus.append(table)
    stream = io.BytesIO()
    hdus.writeto(stream, checksum=True)
    return stream.getvalue()
