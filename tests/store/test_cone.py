"""Cone search on both engines against all angles computed one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import func, select

from catalog.schema.tables import Run, Source
from catalog.store.cone import cell, cone_condition, sources_in_cone
from catalog.store.door import Store

Array = NDArray[np.float64]
TINY = 1e-9 / 3600


def positions() -> tuple[Array, Array]:
    """Sources all over the sky, and crowded where a search may go wrong: poles, seam, cell corners."""
    rng = np.random.default_rng(20240229)
    ra, dec = [rng.uniform(0, 360, 600)], [np.degrees(np.arcsin(rng.uniform(-1, 1, 600)))]
    corner = np.degrees(np.arcsin(2 / 3))
    for centre_ra, centre_dec in [
        (0, 90), (123, -90), (0, 0), (359.9999999, 20), (45, corner), (90, 0), (180, -corner), (266.4, -29),
    ]:  # fmt: skip
        offset = 10 ** rng.uniform(-8, 1, 60)
        angle = rng.uniform(0, 2 * np.pi, 60)
        near = np.clip(centre_dec + offset * np.cos(angle), -90, 90)
        ra.append((centre_ra + offset * np.sin(angle) / np.maximum(np.cos(np.radians(near)), 1e-6)) % 360)
        dec.append(near)
    ra.append(np.array([0.0, 0.0, 77.0, 180.0, 359.99999999999994]))
    dec.append(np.array([90.0, -90.0, 90.0, -90.0, 0.0]))
    return np.concatenate(ra), np.concatenate(dec)


RA, DEC = positions()


def vectors(ra: Array, dec: Array) -> Array:
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def angles(ra: float, dec: float) -> Array:
    """Angle of every source from a point, degrees; exact to 1e-13 at any separation."""
    points, centre = vectors(RA, DEC), vectors(np.array(ra), np.array(dec))
    cross = np.linalg.norm(np.cross(points, centre), axis=1)
    return np.degrees(np.arctan2(cross, points @ centre))


@pytest.fixture
def sky(store: Store, row: Callable[..., dict[str, Any]]) -> tuple[Store, NDArray[np.int64]]:
    with store.write() as writer:
        ids = {"run": writer.insert(Run, [row(Run, {})])[0]}
        cells = cell(RA, DEC)
        sources = [
            row(Source, ids, ra=float(ra), dec=float(dec), hpx29=int(hpx), origin_hpx29=number)
            for number, (ra, dec, hpx) in enumerate(zip(RA, DEC, cells, strict=True))
        ]
        return store, np.array(writer.insert(Source, sources))


def check(sky: tuple[Store, NDArray[np.int64]], ra: float, dec: float, radius: float) -> None:
    store, ids = sky
    with store.read() as connection:
        found = sources_in_cone(connection, ra, dec, radius)
    angle = dict(zip(ids.tolist(), angles(ra, dec), strict=True))
    must = {source for source, value in angle.items() if value < radius - 1e-12 - TINY}
    may = {source for source, value in angle.items() if value <= radius + 1e-12 + TINY}
    names = {source for source, _ in found}
    assert must <= names <= may
    assert len(found) == len(names)
    separations = [separation for _, separation in found]
    assert separations == sorted(separations)
    for source, separation in found:
        assert separation == pytest.approx(angle[source] * 3600, rel=1e-9, abs=1e-7)


RADII = st.one_of(
    st.floats(-9, np.log10(180)).map(lambda power: float(10**power)),
    st.sampled_from([0.0, 1e-7, 58.7, 90.0, 179.999, 180.0]),
)
SEARCH = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@SEARCH
@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90), RADII)
@example(0.0, 90.0, 1.0)
@example(200.0, -90.0, 1e-6)
@example(359.9999999999, 0.0, 0.001)
@example(0.0, 0.0, 180.0)
@example(13.0, -90.0, 120.0)
def test_cones_anywhere(sky: tuple[Store, NDArray[np.int64]], ra: float, dec: float, radius: float) -> None:
    check(sky, ra, dec, radius)


@SEARCH
@given(st.integers(0, len(RA) - 1), st.integers(0, len(RA) - 1), st.sampled_from([1 - 1e-6, 1 + 1e-6]))
def test_cones_whose_edge_runs_through_a_source(
    sky: tuple[Store, NDArray[np.int64]], centre: int, edge: int, factor: float
) -> None:
    radius = float(angles(RA[centre], DEC[centre])[edge]) * factor
    check(sky, float(RA[centre]), float(DEC[centre]), min(radius, 180.0))


def test_a_source_finds_itself(sky: tuple[Store, NDArray[np.int64]]) -> None:
    store, ids = sky
    with store.read() as connection:
        for ra, dec, source in itertools.islice(zip(RA, DEC, ids, strict=True), 0, None, 17):
            assert source in {found for found, _ in sources_in_cone(connection, float(ra), float(dec), 1e-6)}


def test_an_empty_cone_is_empty(store: Store) -> None:
    with store.read() as connection:
        assert sources_in_cone(connection, 10.0, 10.0, 180.0) == []


def test_the_condition_narrows_it_down(sky: tuple[Store, NDArray[np.int64]]) -> None:
    store, _ = sky
    with store.read() as connection:
        near = connection.scalar(
            select(func.count()).select_from(Source).where(cone_condition(Source.hpx29, 100.0, 40.0, 1.0))
        )
    assert near is not None
    assert near <= np.count_nonzero(angles(100.0, 40.0) < 8.0)


def test_cells_are_healpix_of_order_29() -> None:
    # Gorski et al. (2005): 12 base cells of 4^29 each; the poles lie in the corners of cells 0-3 and 8-11.
    assert cell(np.array([45.0]), np.array([90.0]))[0] == 4**29 - 1
    assert cell(np.array([45.0]), np.array([-90.0]))[0] == 8 * 4**29
    assert cell(RA, DEC).min() >= 0
    assert cell(RA, DEC).max() < 12 * 4**29
    assert len(np.unique(cell(np.array([10.0, 10.0 + 1e-6]), np.array([5.0, 5.0])))) == 2
