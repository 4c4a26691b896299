"""Sources, their light curves, and fields of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import kstest

from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import SettingsError
from catalog.simulate.field_model import power_law_fluxes, random_field
from catalog.simulate.source_model import LightCurve, SimulatedSource


def test_energy_flux_is_the_integral_of_the_spectrum() -> None:
    source = SimulatedSource("a", 1.0, 2.0, 1e-5, ReferenceSpectrum(2.0))
    photons = quad(lambda e: e**-2.0, 0.5, 7.0)[0]
    energy = quad(lambda e: e**-1.0, 0.5, 7.0)[0] * 1.602176634e-9
    assert source.energy_flux == pytest.approx(1e-5 * energy / photons, rel=1e-8, abs=0)


def test_mean_flux_of_a_light_curve() -> None:
    curve = LightCurve((100.0, 200.0), (1.0, 3.0))
    source = SimulatedSource("a", 1.0, 2.0, 1e-5, factors={"7": 0.5}, light_curves={"7": curve})
    time = np.linspace(0.0, 300.0, 300001)
    assert source.mean_flux("7", time) == pytest.approx(0.5e-5 * 2.0, rel=1e-6)
    assert source.mean_flux("8", time) == 1e-5


@given(
    st.lists(
        st.floats(0.0, 1e5, allow_subnormal=False).map(lambda t: round(t, 3)),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.floats(-1e3, 1e6),
    st.integers(0, 2**31),
)
def test_light_curve_stays_between_its_factors(knots: list[float], time: float, seed: int) -> None:
    factors = tuple(np.random.default_rng(seed).uniform(0.1, 5.0, len(knots)).tolist())
    curve = LightCurve(tuple(sorted(knots)), factors)
    assert min(factors) - 1e-12 <= float(curve.at(time)) <= curve.highest + 1e-12


@pytest.mark.parametrize(
    ("time", "factor"),
    [((), ()), ((0.0, 1.0), (1.0,)), ((1.0, 0.0), (1.0, 1.0)), ((0.0,), (-1.0,)), ((0.0,), (0.0,))],
)
def test_impossible_light_curves_are_refused(time: tuple[float, ...], factor: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError):
        LightCurve(time, factor)


@pytest.mark.parametrize(
    "values", [("a", 400.0, 0.0, 1.0), ("a", 0.0, 91.0, 1.0), ("a", 0.0, 0.0, -1.0), ("a", 0.0, 0.0, np.nan)]
)
def test_impossible_sources_are_refused(values: tuple[str, float, float, float]) -> None:
    with pytest.raises(SettingsError):
        SimulatedSource(*values)


def test_fluxes_follow_the_power_law(rng: np.random.Generator) -> None:
    low, high, slope = 1e-6, 1e-4, 0.9
    fluxes = power_law_fluxes(20000, low, high, slope, rng)
    assert low <= fluxes.min()
    assert fluxes.max() <= high

    def cumulative(flux: np.ndarray) -> np.ndarray:
        return (low**-slope - flux**-slope) / (low**-slope - high**-slope)

    assert kstest(fluxes, cumulative).pvalue > 1e-3
    with pytest.raises(SettingsError):
        power_law_fluxes(3, 1e-4, 1e-6, 1.0, rng)


def test_random_field_fills_its_circle_evenly() -> None:
    field = random_field(0.05, -70.0, 4000, 9, radius=6.0)
    assert len({source.name for source in field}) == 4000
    ra, dec = (np.radians([getattr(source, axis) for source in field]) for axis in ("ra", "dec"))
    ra0, dec0 = np.radians([0.05, -70.0])
    chord = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    distance = np.degrees(2 * np.arcsin(np.sqrt(chord))) * 60
    assert kstest((distance / 6.0) ** 2, "uniform").pvalue > 1e-3
    assert random_field(0.05, -70.0, 4000, 9, radius=6.0) == field
    assert random_field(0.05, -70.0, 4000, 10, radius=6.0) != field
