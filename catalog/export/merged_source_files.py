"""Files of one source over several observations: events, images and PSF on one grid about the source.

As ACIS Extract's MERGE_OBSERVATIONS leaves them: events reprojected and put one after the other, exposures
added up, and the point spread functions averaged with the exposure at the source as weight.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog import __version__
from catalog.apertures.region import Region
from catalog.band import Band
from catalog.calibration.provider import Calibration
from catalog.calibration.psf_stamp import PsfStamp
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.events.good_times import GoodTimes
from catalog.events.sky_frame import SkyFrame
from catalog.export.sky_image import Card, header_of, image_bytes, sky_cards
from catalog.export.stamps import LEAST_EXPOSURE, psf_cards
from catalog.measure.band_response import Weighting
from catalog.measure.exposure_map import exposure_at
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import nominal_frame
from catalog.schema.tables import Extraction, Merge, MergeMember

Array = NDArray[np.float64]

HALF_WIDTH = 51
"""Pixels from the source to the edge: the neighbourhood is 50 arcsec wide, as ACIS Extract's."""
_COLUMNS = {
    "TIME": ("1D", "s"),
    "CCD_ID": ("1I", None),
    "CHIPX": ("1I", "pixel"),
    "CHIPY": ("1I", "pixel"),
    "DETX": ("1E", "pixel"),
    "DETY": ("1E", "pixel"),
    "X": ("1D", "pixel"),
    "Y": ("1D", "pixel"),
    "PI": ("1J", "chan"),
    "ENERGY": ("1E", "eV"),
    "GRADE": ("1I", None),
}


@dataclass(frozen=True, eq=False)
class MergedGrid:
    """Sky pixels about a source, the same for all observations.

    Attributes
    ----------
    ra, dec
        Position of the source, degrees ICRS; it lies at the middle of the pixel in the middle.
    """

    ra: float
    dec: float

    @cached_property
    def frame(self) -> SkyFrame:
        """Tangent plane with the source as its reference point."""
        return nominal_frame(self.ra, self.dec)

    @property
    def first(self) -> tuple[float, float]:
        """Sky pixel of the first image pixel."""
        return self.frame.x_ref - HALF_WIDTH, self.frame.y_ref - HALF_WIDTH

    def from_observation(self, frame: SkyFrame, place: tuple[float, float], x: Array, y: Array) -> Array:
        """Sky pixels of an observation, where the source lies at `place`, on the grid, shape (2, n)."""
        shift = np.array(self.frame.to_sky(*frame.to_world(*place))) - (self.frame.x_ref, self.frame.y_ref)
        return np.asarray(np.array(self.frame.to_sky(*frame.to_world(x, y))) - shift[:, None])

    def to_observation(self, frame: SkyFrame, place: tuple[float, float]) -> Array:
        """Centres of all pixels, row by row, in sky pixels of an observation, shape (2, n)."""
        offset = np.arange(-HALF_WIDTH, HALF_WIDTH + 1.0)
        v, u = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
        nominal = frame.to_sky(*self.frame.to_world(self.frame.x_ref, self.frame.y_ref))
        shift = np.array(place) - np.array([float(value) for value in nominal])
        world = self.frame.to_world(self.frame.x_ref + u, self.frame.y_ref + v)
        return np.asarray(np.array(frame.to_sky(*world)) + shift[:, None])


@dataclass(frozen=True, eq=False)
class MergedPart:
    """What one observation gives to the merged files of a source.

    Attributes
    ----------
    obs_id, live_time, good_time
        ObsID, longest live time of a chip (s), times good for some chip.
    events
        Columns of the events about the source; X and Y on the grid.
    roles
        Which of them lie in the source and background region.
    exposure
        cm2 s of the pixels of the grid, shape (rows, columns).
    weight
        The same at the source.
    psf
        Point spread function about the source.
    """

    obs_id: str
    live_time: float
    good_time: GoodTimes
    events: dict[str, NDArray[Any]]
    roles: dict[str, NDArray[np.bool_]]
    exposure: Array
    weight: float
    psf: PsfStamp


def merged_part(
    field: ObservedField,
    grid: MergedGrid,
    place: tuple[float, float],
    regions: Mapping[str, Region],
    band: Band,
    psf: PsfStamp,
    response: tuple[Calibration, ReferenceSpectrum, Weighting],
) -> MergedPart:
    """Put one observation on the grid.

    Parameters
    ----------
    field
        The observation.
    grid, place
        The grid, and where the source lies in the observation, sky pixels.
    regions
        Source and background region.
    band
        Band of the exposure.
    psf
        Point spread function of the source.
    response
        Calibration, reference spectrum and weighting of effective areas.
    """
    events, frame = field.events, field.events.sky_frame
    reach = max(
        2.0 * HALF_WIDTH,
        *(
            np.hypot(r.shape.reach[0] - place[0], r.shape.reach[1] - place[1]) + r.shape.reach[2]
            for r in regions.values()
        ),
    )
    near = field.events_near(*place, float(reach))
    x, y = grid.from_observation(frame, place, events.x[near], events.y[near])
    inside = {name: region.contains(events.x[near], events.y[near]) for name, region in regions.items()}
    about = np.maximum(np.abs(x - grid.frame.x_ref), np.abs(y - grid.frame.y_ref)) <= HALF_WIDTH + 0.5
    inside["neighbourhood"] = about
    own: dict[str, NDArray[Any] | None] = {
        "TIME": events.time,
        "CCD_ID": events.ccd_id,
        "CHIPX": events.chipx,
        "CHIPY": events.chipy,
        "DETX": events.detx,
        "DETY": events.dety,
        "PI": events.pi,
        "ENERGY": 1000.0 * events.energy,
        "GRADE": events.grade,
    }
    columns = {name: values[near] for name, values in own.items() if values is not None}
    places = np.column_stack([grid.to_observation(frame, place), place])
    exposure = exposure_at(field, places[0], places[1], band, *response)
    side = 2 * HALF_WIDTH + 1
    return MergedPart(
        events.header.obs_id,
        field.live_time,
        field.good_time,
        {**columns, "X": x, "Y": y},
        inside,
        exposure[:-1].reshape(side, side),
        float(exposure[-1]),
        psf,
    )


def merged_contents(
    parts: Sequence[MergedPart], grid: MergedGrid, band: Band | None, cards: Sequence[Card]
) -> dict[str, bytes]:
    """Files of the parts together, by kind.

    Parameters
    ----------
    parts
        One for each observation.
    grid
        Their grid.
    band
        Energies of the counts image; None for all events.
    cards
        Further header cards.
    """
    common: list[Card] = [
        ("OBS_ID", ",".join(part.obs_id for part in parts)[:68], ""),
        ("NUM_OBS", len(parts), "observations merged"),
        ("EXPOSURE", sum(part.live_time for part in parts), "[s] sum of live times"),
        *cards,
    ]
    found = {
        f"{role}_events": _event_file(parts, role, grid, common)
        for role in ("source", "background", "neighbourhood")
    }
    edges = [np.arange(2 * HALF_WIDTH + 2) - 0.5 + first for first in grid.first[::-1]]
    counts = np.zeros((2 * HALF_WIDTH + 1,) * 2, dtype=np.int32)
    for part in parts:
        x, y = part.events["X"], part.events["Y"]
        energy = part.events["ENERGY"] / 1000.0
        chosen = np.ones(len(x), bool) if band is None else (energy >= band.lo) & (energy < band.hi)
        counts += np.histogram2d(y[chosen], x[chosen], bins=edges)[0].astype(np.int32)
    exposure = np.sum([part.exposure for part in parts], axis=0)
    exposure[exposure < LEAST_EXPOSURE * exposure.max()] = 0.0
    flux = np.divide(counts, exposure, out=np.zeros(counts.shape), where=exposure > 0)
    place = sky_cards(grid.frame, *grid.first)
    for kind, values, unit in (
        ("counts", counts, "count"),
        ("exposure", exposure.astype(np.float32), "cm**2 s"),
        ("flux", flux.astype(np.float32), "photon cm**-2 s**-1"),
    ):
        found[kind] = image_bytes(values, header_of([*place, *common, ("BUNIT", unit, "")]))
    return {**found, "psf": _psf_file(parts, grid, common)}


def composite_psf(parts: Sequence[MergedPart]) -> tuple[PsfStamp, Array]:
    """The finest of the PSF grids, and on it the mean of the images, each of sum 1, by exposure."""
    finest = min((part.psf for part in parts), key=lambda psf: psf.pixel)
    weight = np.array([part.weight for part in parts])
    weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(parts), 1 / len(parts))
    u, v = (grid.ravel() for grid in np.meshgrid(finest.dx, finest.dy))
    total = np.zeros(finest.image.shape)
    for share, part in zip(weight, parts, strict=True):
        image = part.psf.density(u, v).reshape(total.shape)
        total += share * image / image.sum()
    return finest, total


def _psf_file(parts: Sequence[MergedPart], grid: MergedGrid, common: Sequence[Card]) -> bytes:
    stamp, image = composite_psf(parts)
    place = psf_cards(stamp, grid.frame, grid.frame.x_ref, grid.frame.y_ref)
    cards: list[Card] = [*place, ("CONTENT", "PSF", "mean weighted with exposure, of sum 1"), *common]
    return image_bytes(image.astype(np.float32), header_of(cards))


def _event_file(parts: Sequence[MergedPart], role: str, grid: MergedGrid, common: Sequence[Card]) -> bytes:
    """Event list with the columns that all observations have, and their good times."""
    names = [name for name in _COLUMNS if all(name in part.events for part in parts)]
    columns = [
        fits.Column(
            name,
            _COLUMNS[name][0],
            unit=_COLUMNS[name][1],
            array=np.concatenate([part.events[name][part.roles[role]] for part in parts]),
        )
        for name in names
    ]
    numbers = np.concatenate([np.full(part.roles[role].sum(), part.obs_id) for part in parts])
    columns.append(fits.Column("OBS_ID", f"{max(len(part.obs_id) for part in parts)}A", array=numbers))
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    table.header.update(header_of([*common, ("CONTENT", "EVT2", ""), ("RADESYS", "ICRS", "")]))
    frame = grid.frame
    for axis, kind, value, pixel, step in (
        ("X", "RA---TAN", frame.ra, frame.x_ref, frame.dx),
        ("Y", "DEC--TAN", frame.dec, frame.y_ref, frame.dy),
    ):
        k = names.index(axis) + 1
        for name, content in (("TCTYP", kind), ("TCRVL", value), ("TCRPX", pixel), ("TCDLT", step)):
            table.header[f"{name}{k}"] = content
        table.header[f"TCUNI{k}"] = "deg"
    table.header["HDUCLASS"], table.header["HDUCLAS1"] = "OGIP", "EVENTS"
    hdus = [fits.PrimaryHDU(), table, *(_good_times(part) for part in parts)]
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream, checksum=True)
    return stream.getvalue()


def _good_times(part: MergedPart) -> fits.BinTableHDU:
    columns = [
        fits.Column(name, "1D", unit="s", array=values)
        for name, values in (("START", part.good_time.start), ("STOP", part.good_time.stop))
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="GTI")
    hdu.header["OBS_ID"] = part.obs_id
    hdu.header["CREATOR"] = f"srccat {__version__}"
    hdu.header["HDUCLASS"], hdu.header["HDUCLAS1"] = "OGIP", "GTI"
    return hdu


def left_out_of_merges(connection: Connection, recipe_id: int) -> set[tuple[int, int]]:
    """Sources and event sets that the merge for photometry leaves out."""
    query = (
        select(Extraction.source_id, Extraction.event_set_id)
        .join(MergeMember, MergeMember.extraction_id == Extraction.id)
        .join(Merge, Merge.id == MergeMember.merge_id)
        .where(Merge.recipe_id == recipe_id, Merge.purpose == "photometry", ~MergeMember.used)
    )
    return {(row.source_id, row.event_set_id) for row in connection.execute(query)}
