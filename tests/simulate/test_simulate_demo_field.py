"""The packaged example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from catalog.calibration.provider import Calibration
from catalog.events.aspect import aspect_histogram
from catalog.events.aspect_solution import read_aspect_solution
from catalog.events.dithered_chips import fold_dither
from catalog.events.event_list import read_event_list
from catalog.events.field_of_view import field_of_view
from catalog.events.good_pixels import good_pixels
from catalog.events.observation_files import find_observations
from catalog.events.source_list import read_source_list
from catalog.simulate.demo_field import DEMO_SEED, DemoField, write_observation
from catalog.simulate.photons import simulate_field


def truth_row(demo: DemoField, name: str) -> dict[str, float]:
    table = Table.read(demo.truth)
    return dict(zip(table.colnames, table[list(table["name"]).index(name)], strict=True))


def test_folder_is_an_archive(demo: DemoField) -> None:
    found = find_observations([demo.folder])
    assert [files.obs_id for files in found] == ["90101", "90102", "90103"]
    assert [files.events for files in found] == list(demo.event_files)
    assert [files.aspect for files in found] == [(path,) for path in demo.aspect_files]
    assert found[0].events == demo.folder / "90101" / "primary" / "acisf90101_evt2.fits.gz"
    size = sum(path.stat().st_size for path in demo.folder.rglob("*") if path.is_file())
    assert size < 15e6


def test_source_list_and_truth_are_of_the_same_sources(demo: DemoField) -> None:
    truth = Table.read(demo.truth)
    listed = read_source_list(demo.source_list)
    assert len(truth) == len(demo.sources) == 60
    assert list(listed.names) == list(truth["name"]) == [source.name for source in demo.sources]
    assert len(set(listed.names)) == 60
    np.testing.assert_allclose(listed.ra, truth["ra"], atol=1e-7)
    np.testing.assert_allclose(listed.dec, truth["dec"], atol=1e-7)
    np.testing.assert_allclose(listed.ra, [source.ra for source in demo.sources], atol=1e-7)
    assert Table.read(demo.source_list).colnames == ["name", "ra", "dec"]


def test_truth_fluxes(demo: DemoField) -> None:
    truth = Table.read(demo.truth)
    exposure = np.array([plan.exposure for plan in demo.plans])
    by_observation = np.array([truth[f"photon_flux_{plan.obs_id}"] for plan in demo.plans])
    np.testing.assert_allclose(truth["photon_flux"], exposure @ by_observation / exposure.sum(), rtol=1e-3)
    per_photon = np.array(truth["energy_flux"] / truth["photon_flux"]) / 1.602e-9
    assert ((per_photon > 1.0) & (per_photon < 4.0)).all(), "mean photon energies in keV"


def test_special_sources(demo: DemoField) -> None:
    variable = truth_row(demo, "variable")
    rates = [variable[f"counts_{plan.obs_id}"] / plan.exposure for plan in demo.plans]
    assert rates[2] > 8 * rates[0]
    flare = truth_row(demo, "flare")
    assert flare["photon_flux_90103"] > 1.5 * flare["photon_flux_90101"]
    pair = [truth_row(demo, name) for name in ("pair_a", "pair_b")]
    places = [SkyCoord(row["ra"], row["dec"], unit="deg") for row in pair]
    assert abs(places[0].separation(places[1]).arcsec - 2.5) < 0.01
    plan = demo.plans[0]
    axis = SkyCoord(plan.ra, plan.dec, unit="deg")
    assert abs(places[0].separation(axis).arcmin - 5.0) < 0.1
    everything = SkyCoord([s.ra for s in demo.sources], [s.dec for s in demo.sources], unit="deg")
    for source in demo.sources[-5:]:
        here = SkyCoord(source.ra, source.dec, unit="deg")
        others = np.sort(here.separation(everything).arcsec)[1 if "pair" not in source.name else 2 :]
        assert others[0] > 15, f"{source.name} has an unplanned neighbour"


def test_edge_source_is_at_the_edge_once(demo: DemoField) -> None:
    source = demo.sources[-1]
    fractions = []
    for events_path, aspect_path in zip(demo.event_files, demo.aspect_files, strict=True):
        events = read_event_list(events_path)
        assert events.dropped == {}
        aspect = read_aspect_solution([aspect_path], events.header, events.sky_frame)
        histogram = aspect_histogram(aspect, events.all_good_times())
        view = field_of_view(events.header, events.sky_frame, histogram, events.chips)
        equal = dict.fromkeys(view.chips, 1.0)
        chips = fold_dither(view, good_pixels(view), aspect, events.good_times, equal)
        fractions.append(float(chips.good_fraction(*events.sky_frame.to_sky(source.ra, source.dec))[0]))
    assert fractions[0] > 0.99
    assert 0.35 < fractions[1] < 0.65
    assert fractions[2] > 0.99


def test_most_sources_are_seen_more_than_once(demo: DemoField) -> None:
    truth = Table.read(demo.truth)
    seen = sum((np.array(truth[f"counts_{plan.obs_id}"]) > 0).astype(int) for plan in demo.plans)
    assert (seen > 0).all()
    assert (seen >= 2).sum() > 45


def test_counts_of_truth_are_events_of_the_list(demo: DemoField) -> None:
    """Events within 4 arcsec of an isolated bright source, most of its counts and little else."""
    truth = truth_row(demo, "variable")
    events = read_event_list(demo.event_files[2])
    x, y = events.sky_frame.to_sky(truth["ra"], truth["dec"])
    band = (events.energy >= 0.5) & (events.energy < 7.0)
    near = band & (np.hypot(events.x - x, events.y - y) * 0.492 < 4.0)
    assert 0.9 * truth["counts_90103"] < near.sum() < 1.02 * truth["counts_90103"]


def test_seed_gives_the_same_file(demo: DemoField, calibration: Calibration, folder: Path) -> None:
    plan = demo.plans[1]
    again = simulate_field(demo.sources, plan, calibration, DEMO_SEED)
    event_path, aspect_path = write_observation(folder, again, plan)
    assert event_path.read_bytes() == demo.event_files[1].read_bytes()
    assert aspect_path.read_bytes() == demo.aspect_files[1].read_bytes()
