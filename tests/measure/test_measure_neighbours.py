"""The light of neighbours: sums over points, energies between those of the library, contamination alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catalog.apertures.region import Region
from catalog.apertures.shape import Annulus, Circle
from catalog.calibration.psf import PsfLibrary
from catalog.measure.joint_photometry import NeighbourCounts, contamination
from catalog.measure.photometry import Counted, background_ratio
from catalog.measure.psf_fraction import psf_fraction
from catalog.measure.shared_light import Crowd, SharedLight, _node_weights, region_points, shared_light

SCALE = 0.492


def crowd_of(energy: float = 2.0) -> Crowd:
    """Two sources 6 pixels apart; the second is bright."""
    x, radius = np.array([100.0, 106.0]), np.array([3.0, 3.0])
    one = np.ones((2, 1))
    return Crowd(
        x=x,
        y=np.array([50.0, 50.0]),
        radius=radius,
        theta=np.array([3.0, 3.0]),
        phi=np.array([20.0, 20.0]),
        source=[Region(Circle(u, 50.0, 3.0)) for u in x],
        background=[
            Region(Annulus(u, 50.0, 5.0, 20.0), (Circle(v, 50.0, 5.0),))
            for u, v in zip(x, x[::-1], strict=True)
        ],
        n=np.array([[12], [400]]),
        m=np.array([[40], [90]]),
        f=0.9 * one,
        g=0.02 * one,
        r=30 * one,
        time=1000 * one,
        energy=energy * one,
    )


def band(eff: float):  # type: ignore[no-untyped-def]
    from catalog.band import Band

    return Band("b", 0.5, 7.0, eff)


@pytest.mark.parametrize("energy", [1.49, 4.51])
def test_shared_light_at_an_energy_of_the_library(psf: PsfLibrary, energy: float) -> None:
    crowd, pairs = crowd_of(energy), np.array([[0, 1], [1, 0]])
    light = shared_light(crowd, pairs, [band(energy)], psf, 40.0, SCALE)
    stamp = psf.stamp(3.0, 20.0, energy, 40.0)
    for k, (i, j) in enumerate(pairs):
        place = (crowd.x[j], crowd.y[j])
        aperture, background = crowd.source[i], crowd.background[i]
        assert light.aperture[k, 0] == pytest.approx(psf_fraction(aperture, *place, stamp, SCALE), rel=1e-9)
        exact = psf_fraction(background, *place, stamp, SCALE)
        assert light.background[k, 0] == pytest.approx(exact, rel=0.05, abs=2e-4)


def test_between_energies_of_the_library(psf: PsfLibrary) -> None:
    pairs = np.array([[0, 1]])
    energies = (1.49, 1.85, 2.3)
    found = [shared_light(crowd_of(e), pairs, [band(e)], psf, 0.0, SCALE).background[0, 0] for e in energies]
    assert min(found[0], found[2]) <= found[1] <= max(found[0], found[2])
    stamp = psf.stamp(3.0, 20.0, 1.85, 0.0)
    exact = psf_fraction(crowd_of().background[0], 106.0, 50.0, stamp, SCALE)
    assert found[1] == pytest.approx(exact, rel=0.06)


def test_weights_of_energies() -> None:
    nodes = np.array([0.277, 1.0, 1.49, 2.3])
    middle = float(np.sqrt(1.0 * 1.49))
    weights = _node_weights(nodes, np.array([1.0, middle, 1.02, 0.1, 9.0]))
    assert weights.sum(axis=1) == pytest.approx(1.0)
    assert weights[1] == pytest.approx([0, 0.5, 0.5, 0])
    # A node a twentieth of the way off is taken for the energy itself; beyond the ends the end holds.
    assert weights[2].tolist() == [0, 1, 0, 0]
    assert weights[3].tolist() == [1, 0, 0, 0]
    assert weights[4].tolist() == [0, 0, 0, 1]


def test_points_stand_for_the_area() -> None:
    region = crowd_of().background[0]
    points = region_points(region)
    assert points[:, 2].sum() == pytest.approx(region.area)
    assert region.contains(points[:, 0], points[:, 1]).all()
    assert len(region_points(Region(Circle(0, 0, 5), (), ()))) == 0


def test_density_adds_up_to_the_fraction(psf: PsfLibrary) -> None:
    stamp = psf.stamp(5.0, 100.0, 2.3, 10.0)
    region = Region(Circle(3.0, -2.0, 7.0))
    points = region_points(region)
    total = stamp.density(points[:, 0], points[:, 1]) @ points[:, 2]
    assert total == pytest.approx(psf_fraction(region, 0.0, 0.0, stamp, 1.0), rel=0.01)
    far = Region(Annulus(0.0, 0.0, 1.6 * stamp.half_side, 3 * stamp.half_side))
    points = region_points(far)
    total = stamp.density(points[:, 0], points[:, 1]) @ points[:, 2]
    assert total == pytest.approx(psf_fraction(far, 0.0, 0.0, stamp, 1.0), rel=0.05)


def test_contamination_of_sources_measured_alone() -> None:
    crowd = crowd_of()
    pairs = np.array([[0, 1], [1, 0]])
    light = SharedLight(pairs, np.array([[0.02], [0.03]]), np.array([[0.1], [0.2]]))
    found = contamination(crowd, light)
    bright = (400 - 90 / 30) / 0.9
    assert found.contamination_aper[0, 0] == pytest.approx(0.02 * bright)
    assert found.contamination_aperbkg[0, 0] == pytest.approx(0.1 * bright)
    assert not found.member.any()
    assert found.size.tolist() == [1, 1]
    taken = found.take(np.array([1, -1]))
    assert taken.contamination_aper[0, 0] == pytest.approx(0.03 * (12 - 40 / 30) / 0.9)
    assert np.isnan(taken.contamination_aper[1, 0])


def test_a_source_without_net_counts_sends_nothing() -> None:
    crowd = replace(crowd_of(), n=np.array([[0], [400]]))
    light = SharedLight(np.array([[1, 0]]), np.array([[0.5]]), np.array([[0.5]]))
    assert contamination(crowd, light).contamination_aper[1, 0] == 0.0


def test_strongest_neighbours() -> None:
    light = NeighbourCounts(
        np.array([[0, 1], [0, 2], [1, 0], [2, 0]]),
        np.array([[0.2], [0.05], [0.0], [0.02]]),
        np.array([[0.0], [0.0], [2.0], [0.0]]),
    )
    counts, ratio = np.array([[10], [5], [0]]), np.array([[20.0], [20.0], [20.0]])
    assert light.strongest(counts, ratio).ravel().tolist() == [True, False, True, True]


def test_the_correction_scales_the_background() -> None:
    one = np.ones((2, 1))
    plain = Counted(
        n=np.array([[5], [5]]),
        m=np.array([[9], [9]]),
        psf_frac_aper=one,
        psf_frac_aperbkg=0 * one,
        psf_good_frac_aper=one,
        psf_good_frac_aperbkg=one,
        area_aper=np.array([2.0, 2.0]),
        area_aperbkg=np.array([50.0, 50.0]),
        good_frac_area_aper=np.ones(2),
        good_frac_area_aperbkg=np.ones(2),
        livetime=np.ones(2),
        background_vignetting=one,
        energy_aper=[],
        energy_aperbkg=[],
    )
    corrected = replace(plain, background_correction=np.array([1.25, 1.0]))
    assert background_ratio(plain, "time").ravel().tolist() == [25.0, 25.0]
    # The scaled background grows by the factor: the number that counts are divided by shrinks.
    assert background_ratio(corrected, "time").ravel().tolist() == [20.0, 25.0]
