"""Regions as recipes want them: contours, crowding, and backgrounds looked for in the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catalog.calibration.psf import PsfLibrary
from catalog.flags import Flag
from catalog.measure.extract import Aperture, extract
from catalog.measure.observed_field import ObservedField
from catalog.measure.placement import place
from catalog.measure.psf_fraction import psf_fraction
from catalog.measure.source_regions import RegionBuilder, SourceRegions
from catalog.recipes.recipe import Recipe, merge_choices, recipe_from_content
from catalog.recipes.shipped import shipped_recipes

# West and north in arcmin: the five sources of the field, neighbours of the second and third, empty sky.
PLACES = [
    (0.3, 0.2),
    (-2.0, 1.0),
    (3.0, 4.0),
    (-6.0, -6.5),
    (5.0, -2.0),
    (-2.0, 1.02),
    (3.05, 4.0),
    (1.5, -4.0),
]
GROWING = {"background": {"kind": "circle", "mask_bright": True, "tuned_counts": 100}}
OPTIMIZED = {
    "aperture": {"kind": "contour"},
    "background": {"kind": "counts", "mask_fraction": 0.95},
}


def recipe_of(base: str, change: dict[str, Any]) -> Recipe:
    content = shipped_recipes()[base].model_dump(mode="json", exclude={"name", "description"})
    return recipe_from_content({"name": "x", **merge_choices(content, change)}, "here")


def build(
    field: ObservedField, psf: PsfLibrary, recipe: Recipe, places: list[tuple[float, float]] = PLACES
) -> list[SourceRegions]:
    west, north = np.array(places).T * 60 / 0.492
    x, y = 4096.5 + west, 4096.5 + north
    placed = place(field.events.pointing, x, y, psf, recipe.aperture.fraction, recipe.aperture.energy)
    view = field.field_of_view
    builder = RegionBuilder(field, psf, recipe, placed, view.chip_at(x, y).ccd_id, view.in_fov(x, y))
    everyone = np.arange(len(places))
    return builder.regions(everyone.tolist(), [everyone[everyone != i] for i in everyone])


def content(found: SourceRegions) -> list[Any]:
    return [found.source.to_dict(), found.background.to_dict(), found.crowding, found.overlap]


@pytest.fixture(scope="module")
def acis_extract(simulated: ObservedField, psf: PsfLibrary) -> list[SourceRegions]:
    return build(simulated, psf, recipe_of("acis-extract", GROWING))


def test_contours_hold_their_fraction(
    simulated: ObservedField, psf: PsfLibrary, acis_extract: list[SourceRegions]
) -> None:
    pointing, roll = simulated.events.pointing, simulated.field_of_view.pointing.roll
    for (west, north), found in zip(PLACES, acis_extract, strict=True):
        x, y = 4096.5 + west * 60 / 0.492, 4096.5 + north * 60 / 0.492
        assert found.psf_frac_contour == pytest.approx(found.psf_frac_target, abs=0.01)
        theta, phi = pointing.off_axis(x, y)
        stamp = psf.stamp(float(theta), float(phi), 1.4967, roll)
        # Vertices are offsets in a plane, the region lies in sky pixels: both see the same light.
        assert psf_fraction(found.source, x, y, stamp, 0.492) == pytest.approx(
            found.psf_frac_contour, abs=1e-6
        )
        assert found.clipped_frac == pytest.approx(0.0, abs=1e-9)


def test_close_contours_shrink_and_part(acis_extract: list[SourceRegions]) -> None:
    for first, second in ((1, 5), (2, 6)):
        pair = acis_extract[first], acis_extract[second]
        shared = pair[0].source.geometry().intersection(pair[1].source.geometry()).area
        assert shared == pytest.approx(0.0, abs=1e-9)
        assert "shrunk" in {found.crowding for found in pair}
        # The one with the photons keeps more: nothing shines at the second.
        assert pair[0].psf_frac_target > pair[1].psf_frac_target
    assert acis_extract[0].crowding == acis_extract[7].crowding == "none"


def test_circles_grow_outside_all_masks(simulated: ObservedField, acis_extract: list[SourceRegions]) -> None:
    x, y = simulated.events.x, simulated.events.y
    for found in acis_extract:
        inside = found.background.contains(x, y)
        for other in acis_extract:
            assert other.mask is not None
            assert not (inside & other.mask.contains(x, y)).any()
        if not found.flags & Flag.SMALL_BACKGROUND:
            assert inside.sum() >= 5
            assert found.background.area / found.source.area > 15


def test_the_order_of_sources_changes_nothing(
    simulated: ObservedField, psf: PsfLibrary, acis_extract: list[SourceRegions]
) -> None:
    order = [5, 2, 7, 0, 6, 4, 1, 3]
    again = build(simulated, psf, recipe_of("acis-extract", GROWING), [PLACES[i] for i in order])
    for k, i in enumerate(order):
        assert content(again[k]) == content(acis_extract[i])


def test_a_source_far_away_changes_nothing(
    simulated: ObservedField, psf: PsfLibrary, acis_extract: list[SourceRegions]
) -> None:
    more = build(simulated, psf, recipe_of("acis-extract", GROWING), [*PLACES, (7.0, 7.0)])
    for before, after in zip(acis_extract, more, strict=False):
        assert content(after) == content(before)


def test_a_contamination_matched_background(simulated: ObservedField, psf: PsfLibrary) -> None:
    found = build(simulated, psf, shipped_recipes()["acis-extract"])
    x, y = simulated.events.x, simulated.events.y
    for item in found:
        assert item.bkg_correction is not None
        assert 0.1 <= item.bkg_correction <= 10
        assert item.bkg_imbalance is not None
        assert not (item.background.contains(x, y) & item.source.contains(x, y)).any()
        if not item.flags & Flag.SMALL_BACKGROUND:
            assert item.bkg_imbalance <= 0.1
    # Beside a source of hundreds of counts the local background is more than flat sky.
    neighbour, empty = found[5], found[7]
    density = [item.background.contains(x, y).sum() / item.background.area for item in (neighbour, empty)]
    assert density[0] > 2 * density[1]


def test_the_optimized_variant_of_srcflux(simulated: ObservedField, psf: PsfLibrary) -> None:
    found = build(simulated, psf, recipe_of("srcflux", OPTIMIZED))
    energy = simulated.events.energy
    band = (energy >= 0.5) & (energy < 7.0)
    for item in found:
        # As many as asked for, the one at the outer edge with them; another event may share its distance.
        inside = item.background.contains(simulated.events.x[band], simulated.events.y[band])
        if item.background.field is None:
            assert inside.sum() in (50, 51)
    targets = [item.psf_frac_target for item in found]
    assert targets[0] == targets[7] == 0.9
    assert targets[1] == targets[5]
    assert min(targets) in (0.6, 0.7, 0.8)
    for first, second in ((1, 5), (2, 6)):
        shared = found[first].source.geometry().intersection(found[second].source.geometry()).area
        assert shared == pytest.approx(0.0, abs=1e-9)


def test_contours_are_divided_for_joint_photometry(simulated: ObservedField, psf: PsfLibrary) -> None:
    found = build(simulated, psf, recipe_of("default", {"aperture": {"kind": "contour"}}))
    pair = found[1], found[5]
    assert {item.crowding for item in pair} == {"divided"}
    assert pair[0].source.geometry().intersection(pair[1].source.geometry()).area == pytest.approx(
        0, abs=1e-9
    )
    assert all(item.clipped_frac > 0 for item in pair)
    assert found[0].clipped_frac == pytest.approx(0, abs=1e-9)


def test_circles_are_as_before(simulated: ObservedField, psf: PsfLibrary) -> None:
    default, cut = (
        build(simulated, psf, recipe_of("default", {})),
        build(simulated, psf, recipe_of("srcflux", {})),
    )
    assert default[0].psf_frac_contour is None
    assert (default[1].crowding, cut[1].crowding) == ("divided", "excluded")
    assert default[1].flags & cut[1].flags & Flag.NEIGHBOUR_EXCLUDED
    assert cut[1].clipped_frac > default[1].clipped_frac > 0
    assert default[0].mask is None


def test_extraction_of_a_contour(
    simulated: ObservedField, psf: PsfLibrary, acis_extract: list[SourceRegions]
) -> None:
    recipe = shipped_recipes()["acis-extract"]
    x, y = (4096.5 + value * 60 / 0.492 for value in PLACES[0])
    theta, phi = simulated.events.pointing.off_axis(x, y)
    found = acis_extract[0]
    aperture = Aperture(x, y, float(theta), float(phi), 3, found.source, found.background)
    result = extract(simulated, aperture, recipe.energy_bands[:3], psf)
    assert result.bands[0].n > 50
    assert result.bands[1].psf_frac_aper == pytest.approx(0.9, abs=0.01)
    assert result.area_aper == pytest.approx(found.source.area * 0.492**2)
