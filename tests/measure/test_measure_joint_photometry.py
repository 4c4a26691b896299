"""Joint photometry of simulated groups: PSF fractions of neighbours, values, independence of order."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import shapely

from catalog.apertures.circles import CircleRule
from catalog.apertures.touching import touching_aperture
from catalog.band import CSC_BANDS
from catalog.calibration.psf import open_psf_library
from catalog.measure.joint_photometry import joint_photometry
from catalog.measure.psf_fraction import psf_fraction
from catalog.measure.shared_light import Crowd, find_influence, mean_energies, shared_light
from catalog.stats.aperture_posterior import summarise

BAND = CSC_BANDS["broad"]
SCALE = 0.492
FIELD = shapely.box(0, 0, 9000, 9000)
# A pair 1.2'' apart, a bright source with a faint one at 3'', one alone.
PLACES = np.array([[4000.0, 4000.0], [4002.4, 4000.5], [4300.0, 4000.0], [4304.2, 4004.5], [4100.0, 4400.0]])
TRUTH = np.array([300.0, 120.0, 5000.0, 25.0, 80.0])
SKY = 0.02


def crowd(seed: int = 1) -> Crowd:
    """Counts drawn with the library's own PSF and a flat background."""
    psf, rng = open_psf_library(), np.random.default_rng(seed)
    size = len(PLACES)
    theta, phi = np.full(size, 1.5), np.full(size, 30.0)
    radius = psf.radius(theta, phi, 1.0, 0.9) / SCALE
    table = np.column_stack([PLACES, radius])
    made = [
        touching_aperture(tuple(row), np.delete(table, i, axis=0), CircleRule(), FIELD)
        for i, row in enumerate(table)
    ]
    x, y = rng.uniform(3900, 4500, (2, rng.poisson(SKY * 600**2)))
    xs, ys = [x], [y]
    for (x0, y0), number in zip(PLACES, TRUTH, strict=True):
        dx, dy = psf.sample(1.5, 30.0, BAND.eff, 0.0, rng.poisson(number), rng)
        xs.append(x0 + dx / SCALE)
        ys.append(y0 + dy / SCALE)
    x, y = np.concatenate(xs), np.concatenate(ys)
    stamp = psf.stamp(1.5, 30.0, BAND.eff, 0.0)

    def fractions(name: str) -> np.ndarray:
        return np.array(
            [
                [psf_fraction(getattr(item, name), *row, stamp, SCALE)]
                for item, row in zip(made, PLACES, strict=True)
            ]
        )

    return Crowd(
        *PLACES.T,
        radius,
        theta,
        phi,
        [item.source for item in made],
        [item.background for item in made],
        np.array([[int(item.source.contains(x, y).sum())] for item in made]),
        np.array([[int(item.background.contains(x, y).sum())] for item in made]),
        fractions("source"),
        fractions("background"),
        np.array([[item.background.area / item.source.area] for item in made]),
        np.full((size, 1), 1e4),
        np.full((size, 1), BAND.eff),
    )


def measured(found: Crowd, seed: int = 1):
    psf = open_psf_library()
    influence = find_influence(found, psf, SCALE, BAND.eff)
    light = shared_light(found, influence.pairs, [BAND], psf, 0.0, SCALE)
    return influence, light, joint_photometry(found, light, influence.members(), (0.68, 0.6827), seed, 0.0)


def test_groups_values_and_backgrounds() -> None:
    found = crowd()
    influence, _, result = measured(found)
    assert [part.tolist() for part in influence.members()] == [[0, 1], [2, 3]]
    assert result.member.tolist() == [True, True, True, True, False]
    assert result.size.tolist() == [2, 2, 2, 2, 1]
    inside = result.member
    sigma = 0.5 * (result.posterior.hilim - result.posterior.lolim)[inside, 0]
    assert np.all(np.abs(result.posterior.mean[inside, 0] - TRUTH[inside]) < 3.2 * sigma)
    assert np.isnan(result.posterior.mode[4, 0])
    # The bright one's wing and the sky are what the faint one stands on; the annulus is full of the wing.
    assert result.contamination_aper[3, 0] > 3
    behind = result.contamination_aper[3, 0] + SKY * found.source[3].area
    assert (result.m[3, 0] + 1) / result.r[3, 0] == pytest.approx(behind, rel=0.2)


def test_neighbours_fractions_against_photons() -> None:
    found = crowd()
    light = measured(found)[1]
    psf, rng = open_psf_library(), np.random.default_rng(8)
    dx, dy = psf.sample(1.5, 30.0, BAND.eff, 0.0, 400000, rng)
    for (i, j), aperture, background in zip(light.pairs, light.aperture, light.background, strict=True):
        x, y = found.x[j] + dx / SCALE, found.y[j] + dy / SCALE
        for region, value in ((found.source[i], aperture[0]), (found.background[i], background[0])):
            share = region.contains(x, y).mean()
            assert value == pytest.approx(share, abs=5 * np.sqrt(share / 4e5) + 0.01 * share)


def test_order_changes_nothing_but_the_draws() -> None:
    found = crowd()
    turn = np.array([4, 3, 2, 1, 0])
    turned = Crowd(
        **{
            item.name: (
                [getattr(found, item.name)[i] for i in turn]
                if isinstance(getattr(found, item.name), list)
                else getattr(found, item.name)[turn]
            )
            for item in fields(Crowd)
        }
    )
    _, _, one = measured(found)
    _, _, two = measured(turned)
    width = (one.posterior.hilim - one.posterior.lolim)[:4]
    assert np.all(np.abs(two.posterior.mean[turn][:4] - one.posterior.mean[:4]) < 0.05 * width)
    assert two.m[turn][:4] == pytest.approx(one.m[:4], rel=1e-4)


def test_far_source_changes_nothing() -> None:
    """Bit for bit: groups have their own streams of random numbers."""
    found = crowd()
    part = Crowd(**{item.name: getattr(found, item.name)[:4] for item in fields(Crowd)})
    _, _, all_five = measured(found)
    _, _, four = measured(part)
    for name in ("mode", "mean", "lolim", "hilim"):
        assert np.array_equal(getattr(all_five.posterior, name)[:4], getattr(four.posterior, name))


def test_effective_background_gives_the_joint_posterior() -> None:
    """The single-source measurement that stands for a group's member in merges has nearly its posterior."""
    found = crowd()
    _, _, result = measured(found)
    m = np.rint(result.m[:4, 0])
    r = result.r[:4, 0] * (m + 1) / (result.m[:4, 0] + 1)
    alone = summarise(found.n[:4, 0], m, found.f[:4, 0], result.g[:4, 0], r, 0.68)
    width = (result.posterior.hilim - result.posterior.lolim)[:4, 0]
    for name in ("mean", "lolim", "hilim"):
        error = np.abs(getattr(alone, name) - getattr(result.posterior, name)[:4, 0]) / width
        assert np.all(error < 0.12), (name, error)


def test_take_marks_who_is_alone() -> None:
    _, _, result = measured(crowd())
    taken = result.take(np.array([3, -1, 4], dtype=np.intp))
    assert taken.member.tolist() == [True, False, False]
    assert taken.size.tolist() == [2, 1, 1]
    assert taken.m[0] == result.m[3]
    assert np.isnan(taken.m[1:]).all()


def test_mean_energies() -> None:
    events = [np.array([1.0, 1.0, 9.0], dtype=np.float32), np.empty(0, dtype=np.float32)]
    found = mean_energies(events, [BAND])
    assert found[0, 0] == pytest.approx((10 * BAND.eff + 2.0) / 12)
    assert found[1, 0] == BAND.eff


def test_psf_error_widens_the_background() -> None:
    found = crowd()
    psf = open_psf_library()
    influence = find_influence(found, psf, SCALE, BAND.eff)
    light = shared_light(found, influence.pairs, [BAND], psf, 0.0, SCALE)
    results = [
        joint_photometry(found, light, influence.members(), (0.68, 0.6827), 1, error) for error in (0.0, 0.3)
    ]
    assert results[1].m[3, 0] < 0.7 * results[0].m[3, 0]
    assert (results[1].m[3, 0] + 1) / results[1].r[3, 0] == pytest.approx(
        (results[0].m[3, 0] + 1) / results[0].r[3, 0], rel=1e-9
    )
