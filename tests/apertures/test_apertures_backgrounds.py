"""Backgrounds looked for in data: growing circles, their tuning, fixed counts, matched light, masks."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from catalog.apertures.fixed_count import fixed_count_annulus, free_events, outer_radius
from catalog.apertures.growing_circle import RatioRange, growing_circle, tuned_range, wanted_factor
from catalog.apertures.masked_field import MaskedField, inside_circles, masked_field
from catalog.apertures.masks import bright_radius
from catalog.apertures.matched import (
    MatchedBackground,
    _rectangles,
    contamination_imbalance,
    corrected_scale,
    matched_background,
)
from catalog.apertures.region import Region, region_from_dict
from catalog.apertures.shape import Polygon, Union
from catalog.apertures.turned import Box

Array = NDArray[np.float64]
BOUNDS = (0.0, 0.0, 400.0, 400.0)
NO_MASKS = np.empty((0, 3))
RNG = np.random.default_rng(20)
EVENTS = RNG.uniform(0, 400, (4000, 2))


def even(x: Array, _y: Array) -> Array:
    return np.ones(len(x))


def field(masks: Array = NO_MASKS, events: Array = EVENTS) -> MaskedField:
    return masked_field(events, even, BOUNDS, masks)


def test_masked_field_counts_and_areas() -> None:
    masks = np.array([[150.0, 150.0, 20.0], [260.0, 210.0, 9.0]])
    found = field(masks)
    away = np.hypot(*(EVENTS - (200, 200)).T) <= 90
    hidden = (np.hypot(*(EVENTS - masks[0, :2]).T) <= 20) | (np.hypot(*(EVENTS - masks[1, :2]).T) <= 9)
    assert found.counts(200, 200, 90) == (away & ~hidden).sum()
    area = np.pi * (90**2 - 20**2 - 9**2)
    assert found.exposure_area(200, 200, 90) == pytest.approx(area, rel=0.005)
    assert np.array_equal(inside_circles(EVENTS, masks), hidden)


def test_exposure_weighs_area() -> None:
    half = masked_field(EVENTS, lambda x, y: np.where(x < 200, 1.0, 0.25), BOUNDS, NO_MASKS)
    expected = np.pi * 50**2 * 0.625
    assert half.exposure_area(200, 200, 50) == pytest.approx(expected, rel=0.02)


def test_far_masks_change_no_bit() -> None:
    near = np.array([[150.0, 150.0, 20.0]])
    far = np.vstack([near, [[390.0, 150.0, 8.0]]])
    assert field(near).exposure_area(170, 150, 60) == field(far).exposure_area(170, 150, 60)


def test_brightness_is_that_of_the_nearest_events() -> None:
    assert field().brightness(200, 200, 100, 400.0) == pytest.approx(4000 / 400**2, rel=0.25)
    assert field(events=np.empty((0, 2))).brightness(200, 200, 100, 400.0) == 0.0


def grow(found: MaskedField, ratios: RatioRange, counts: int, first: float = 10.0):  # type: ignore[no-untyped-def]
    return growing_circle((200.0, 200.0), 50.0, found, ratios, counts, first, 190.0)


def test_the_circle_has_the_ratio_aimed_at() -> None:
    circle = grow(field(), RatioRange(), 5)
    assert circle.reached
    assert 30 <= circle.ratio <= 30 * 1.06
    assert circle.ratio == pytest.approx(np.pi * circle.radius**2 / 50, rel=0.005)
    assert circle.counts == field().counts(200, 200, circle.radius)


@pytest.mark.parametrize("first", [1.0, 22.0, 150.0])
def test_wherever_it_begins(first: float) -> None:
    assert 30 <= grow(field(), RatioRange(), 5, first).ratio <= 40


def test_masks_make_it_larger() -> None:
    masks = np.array([[200.0, 200.0, 15.0]])
    plain, cut = grow(field(), RatioRange(), 5), grow(field(masks), RatioRange(), 5)
    assert np.pi * cut.radius**2 == pytest.approx(np.pi * plain.radius**2 + np.pi * 15**2, rel=0.07)


def test_few_counts_stop_at_the_largest_ratio_and_say_so() -> None:
    sparse = field(events=EVENTS[:40])
    circle = grow(sparse, RatioRange(), 5)
    assert not circle.reached
    assert 38 <= circle.ratio <= 42.5
    assert circle.vote_high == pytest.approx(1.2 * 40)


def test_between_goal_and_largest_it_grows_to_the_counts() -> None:
    wide = RatioRange(20, 30, 1000)
    circle = grow(field(), wide, 200)
    assert 200 <= circle.counts < 225
    assert circle.vote_high == pytest.approx(circle.ratio)


def test_the_radius_has_a_limit() -> None:
    circle = growing_circle((200.0, 200.0), 5000.0, field(), RatioRange(), 5, 10.0, 60.0)
    assert circle.radius == pytest.approx(60.0)
    assert not circle.reached


def test_wanted_factor() -> None:
    # 50 counts over a ratio of 1000: the error is small, counts decide.
    assert wanted_factor(10, 50, 1000.0, 100) == pytest.approx(2.0)
    assert wanted_factor(10, 400, 1e6, 100) == pytest.approx(0.25)
    assert wanted_factor(10, 0, 1000.0, 100) == float("inf")
    # 10 counts against 300 over a ratio of 10: the error must fall.
    factor = wanted_factor(10, 300, 10.0, 100)
    own = 1 + np.sqrt(10.75)
    for value, holds in ((factor, True), (factor / 1.1, False)):
        assert (own >= 4 * (1 + np.sqrt(value * 300 + 0.75)) / (value * 10)) == holds


@pytest.mark.parametrize(
    ("factor", "goal"),
    [(0.1, 6.0), (0.4, 12.0), (0.7, 30.0), (1.05, 36.0), (2.0, 60.0), (9.0, 150.0), (float("inf"), 150.0)],
)
def test_tuned_goal(factor: float, goal: float) -> None:
    assert tuned_range(RatioRange(), factor, 0.0, 1000.0).goal == pytest.approx(goal)


def test_votes_bound_the_goal_and_the_low_one_wins() -> None:
    assert tuned_range(RatioRange(), 5.0, 0.0, 48.0) == RatioRange(0.5, 48.0, 48.0)
    assert tuned_range(RatioRange(), 0.1, 25.0, 22.0) == RatioRange(25.0, 25.0, 25.0)
    assert tuned_range(RatioRange(20, 30, 40), 0.8, 20.0, 41.0) == RatioRange(20, 30, 40)


def test_worked_example_of_contamination() -> None:
    a, n = np.array([2.0]), np.array([30.0])
    assert contamination_imbalance(a, n, 0.04) == pytest.approx(0.2)
    correction, flat, adopted = corrected_scale(a, n, 0.04, 80)
    assert flat == pytest.approx(2.0)
    assert correction == pytest.approx(1.25)
    assert 0.04 * correction == pytest.approx(0.05)
    assert adopted == pytest.approx(0.125)
    assert pytest.approx(flat + 2.0) == 80 * 0.05


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 500)), min_size=1, max_size=5),
    st.floats(0.005, 0.5),
    st.integers(0, 2000),
)
def test_the_corrected_total_is_flat_and_contamination(
    rows: list[tuple[float, float]], scale: float, observed: int
) -> None:
    a, n = np.array(rows).T
    correction, flat, adopted = corrected_scale(a, n, scale, observed)
    assert 0.1 <= correction <= 10
    assert flat == pytest.approx(max(0.0, observed - n.sum()) * scale)
    if 0.1 < correction < 10 and n.sum() <= observed > 0:
        assert observed * scale * correction == pytest.approx(flat + a.sum(), rel=1e-9, abs=1e-9)
    assert adopted >= 0


def test_no_counts_need_no_correction() -> None:
    assert corrected_scale(np.array([1.0]), np.array([0.0]), 0.1, 0)[0] == 1.0


def bright_neighbour(x: Array, y: Array) -> Array:
    """A neighbour at (225, 200) with a wing that falls as 1/r^3, and the source itself."""
    wing = 4.0 / np.maximum(np.hypot(x - 225, y - 200), 3.0) ** 3 * 1000
    own = 0.05 / np.maximum(np.hypot(x - 200, y - 200), 2.0) ** 3
    return np.column_stack([own, wing])


def test_matched_background_mirrors_the_contamination() -> None:
    radius, scale = 4.0, 1.0
    axis = np.linspace(-radius, radius, 201)
    u, v = (grid.ravel() for grid in np.meshgrid(200 + axis, 200 + axis))
    disc = np.hypot(u - 200, v - 200) < radius
    area = np.pi * radius**2
    inside = bright_neighbour(u[disc], v[disc]).mean(axis=0) * area
    counts = np.random.default_rng(3)
    events = counts.uniform(100, 300, (2000, 2))
    found = matched_background(
        (200.0, 200.0, radius, 8.0),
        area * scale,
        np.array([0.0, inside[1]]),
        bright_neighbour,
        even,
        lambda x, y: np.hypot(x - 200, y - 200) <= radius,
        lambda _reach: events,
        RatioRange(),
        5,
    )
    assert found.reached
    assert found.imbalance <= 0.10
    region = found.region()
    assert 30 <= region.area / area <= 41
    assert not region.contains(np.array([200.0]), np.array([200.0])).any()
    # An annulus of the same area all around holds less of the neighbour than the aperture does.
    middle = 0.5 * (found.boxes[:, :2] + found.boxes[:, 2:])
    matched_light = bright_neighbour(*middle.T)[:, 1].mean()
    assert matched_light * found.correction == pytest.approx(inside[1] / area, rel=0.6)


def test_matched_background_says_when_it_fails() -> None:
    found = matched_background(
        (200.0, 200.0, 4.0, 8.0),
        50.0,
        np.array([500.0]),
        lambda x, y: np.zeros((len(x), 1)),
        even,
        lambda x, y: np.hypot(x - 200, y - 200) <= 4,
        lambda _reach: np.empty((0, 2)),
        RatioRange(),
        5,
    )
    assert not found.reached
    assert found.imbalance > 0.1


def test_fixed_counts() -> None:
    circles = np.array([[200.0, 200.0, 6.0], [215.0, 204.0, 5.0]])
    square = Polygon(((180.0, 180.0), (190.0, 180.0), (190.0, 190.0), (180.0, 190.0)))
    free = free_events(EVENTS, circles, [square])
    distance = np.sort(np.hypot(*(free - (200, 200)).T))
    outer = outer_radius((200.0, 200.0), free, 50)
    assert outer is not None
    assert outer == distance[50]
    region = fixed_count_annulus((200.0, 200.0, 6.0), outer, circles[1:], [square])
    inside = region.contains(EVENTS[:, 0], EVENTS[:, 1])
    assert inside.sum() == 51
    assert len(region.exclude) == 2
    assert region.area < np.pi * (outer**2 - 36) - np.pi * 25


def test_too_few_events_for_fixed_counts() -> None:
    assert outer_radius((0.0, 0.0), EVENTS[:50], 50) is None
    assert outer_radius((0.0, 0.0), EVENTS[:51], 50) is not None
    far_away = fixed_count_annulus((200.0, 200.0, 6.0), 9.0, np.array([[300.0, 300.0, 5.0]]), [])
    assert far_away.exclude == ()


def test_bright_sources_have_large_masks() -> None:
    def enclosed(radii: Array) -> Array:
        return 1 - 1 / (1 + np.asarray(radii) ** 2)

    def light(radius: float, counts: float) -> float:
        return counts * 2 * radius / (1 + radius**2) ** 2 / (2 * np.pi * radius)

    found = bright_radius(enclosed, 10_000.0, 0.02, 3.0, 200.0)
    assert light(found, 10_000) == pytest.approx(0.1 * 0.02, rel=0.5)
    assert bright_radius(enclosed, 0.1, 0.02, 3.0, 200.0) == 3.0
    assert bright_radius(enclosed, 100.0, 0.0, 3.0, 200.0) == 3.0
    assert bright_radius(enclosed, 0.0, 0.02, 3.0, 200.0) == 3.0
    assert bright_radius(enclosed, 1e12, 0.02, 3.0, 200.0) == pytest.approx(200.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sets(st.integers(0, 63), min_size=1), st.floats(0.3, 4.0))
def test_rectangles_hold_the_cells_and_nothing_else(cells: set[int], side: float) -> None:
    width = 8
    chosen = np.array(list(cells), dtype=np.int64)
    corners = _rectangles(chosen, width)
    covered = np.zeros((width, width), dtype=int)
    for first, row, beyond, above in corners:
        covered[row:above, first:beyond] += 1
    assert set(np.flatnonzero(covered).tolist()) == cells
    assert covered.max() == 1
    region = MatchedBackground(4000.0 + side * corners, 1.0, 0.0, True).region()
    assert isinstance(region.shape, Union)
    assert region.shape.rectangles is not None
    assert region.area == pytest.approx(len(cells) * side**2, rel=1e-12)
    assert region.geometry().area == pytest.approx(region.area, rel=1e-9)
    # Stored and read again, and point for point what shapely says of the same boxes.
    assert region_from_dict(region.to_dict()) == region
    x, y = 4000.0 + side * np.random.default_rng(1).uniform(-1, 9, (2, 500))
    column, row = (np.floor((part - 4000.0) / side).astype(int) for part in (x, y))
    inside = (np.minimum(column, row) >= 0) & (np.maximum(column, row) < width)
    inside[inside] = covered[row[inside], column[inside]] > 0
    assert np.array_equal(region.contains(x, y), inside)
    assert np.array_equal(shapely.contains_xy(region.geometry(), x, y), inside)


def test_boxes_that_overlap_or_turn_are_no_rectangles() -> None:
    apart = Union((Box(0, 0, 2, 2), Box(2, 0, 2, 2)))
    assert apart.rectangles is not None
    assert apart.area == 8.0
    for other in (Box(1.5, 0, 2, 2), Box(3, 0, 2, 2, 10.0)):
        joined = Union((Box(0, 0, 2, 2), other))
        assert joined.rectangles is None
        assert joined.area == pytest.approx(joined.geometry().area, rel=1e-12)
    assert Region(apart).edges.shape == (8, 4)
