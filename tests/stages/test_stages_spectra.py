"""Stage `spectra`: counts against the event files, scales against the photometry, what is computed again."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import func, select, update

from catalog.apertures.region import region_from_dict
from catalog.calibration.arf_file import AncillaryResponse, write_arf
from catalog.errors import UnknownNameError
from catalog.export.spectra_selection import named_spectra, select_spectra, why_without_spectrum
from catalog.measure.spectra import channel_energies
from catalog.recipes.recipe import merge_choices, recipe_from_content
from catalog.schema.tables import (
    BandRow,
    Crowding,
    Extraction,
    InputFile,
    Measurement,
    NeighbourLight,
    Observation,
    RegionRow,
    Response,
    Source,
    Spectrum,
)
from catalog.stages.base.project import create_project, open_project
from catalog.stages.base.recipe_store import add_recipe
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.engine.run import run
from catalog.stages.steps import spectra
from catalog.stages.steps.stored_spectra import load_spectra
from catalog.store.runs import begin_run, finish


def stored(project, **choices):
    with project.store.read() as connection:
        return load_spectra(connection, select_spectra(connection).recipe.id, **choices)


def run_recipe(project, name, changes):
    with project.store.write() as writer:
        run_id = begin_run(writer, "recipe", {}, [])
        content = merge_choices(
            select_spectra(writer.connection).recipe.recipe.model_dump(mode="json"), {"name": name, **changes}
        )
        add_recipe(writer, run_id, recipe_from_content(content, "test"))
        finish(writer, run_id, "done", {})
    run(project, ["apertures", "extract", "photometry", "spectra"], [name], workers=1)


def count(project, model):
    with project.store.read() as connection:
        return connection.scalar(select(func.count()).select_from(model))


def test_every_histogram_is_a_selection_from_the_event_file(finished_project, copy_of):
    with copy_of(finished_project) as project:
        found = stored(project)
        with project.store.read() as connection:
            paths = dict(connection.execute(select(Observation.obs_id, InputFile.path).join_from(
                Observation, InputFile, InputFile.path.contains(Observation.obs_id)
            ).where(InputFile.file_kind == "evt2")).all())  # fmt: skip
            shapes: dict[int, dict[str, dict]] = {}
            for row in connection.execute(select(RegionRow.extraction_id, RegionRow.role, RegionRow.shape)):
                shapes.setdefault(row.extraction_id, {})[row.role] = row.shape
        events = {obs_id: fits.getdata(path, "EVENTS") for obs_id, path in paths.items()}
        assert len(found) > 25
        total = 0
        for item in found:
            table = events[item.obs_id]
            for role, counts in (
                ("source", item.spectrum.counts),
                ("background", item.spectrum.background),
            ):
                region = region_from_dict(shapes[item.extraction_id][role])
                inside = region.contains(table["X"].astype(float), table["Y"].astype(float))
                expected = np.bincount(table["PI"][inside], minlength=1025)[1:]
                assert np.array_equal(counts, expected), (item.name, item.obs_id, role)
                total += int(expected.sum())
        assert total > 1000


def test_scales_are_those_of_the_photometry(finished_project, copy_of):
    with copy_of(finished_project) as project, project.store.read() as connection:
        rows = connection.execute(
            select(Extraction.id, Extraction.livetime, Measurement.bkg_ratio, Measurement.psf_good_frac_aper)
            .join(Measurement, Measurement.extraction_id == Extraction.id)
            .join(BandRow, BandRow.id == Measurement.band_id)
            .where(BandRow.band == "broad")
        )
        photometry = {row.id: row for row in rows}
        found = stored(project)
        for item in found:
            row = photometry[item.extraction_id]
            assert item.spectrum.bkg_ratio == row.bkg_ratio
            assert item.spectrum.livetime == row.livetime
            assert item.spectrum.response.good_frac == pytest.approx(row.psf_good_frac_aper, abs=0.02)
        assert min(item.spectrum.response.good_frac for item in found) < 0.95


def test_the_ratio_of_a_matched_background_has_its_correction(finished_project, copy_of):
    with copy_of(finished_project) as project:
        run_recipe(project, "matched", {"background": {"kind": "matched"}})
        with project.store.read() as connection:
            found = load_spectra(connection, select_spectra(connection, recipe="matched").recipe.id)
            rows = connection.execute(
                select(Extraction.__table__, Measurement.bkg_ratio, Crowding.bkg_correction)
                .join(Measurement, Measurement.extraction_id == Extraction.id)
                .join(BandRow, BandRow.id == Measurement.band_id)
                .join(Crowding, Crowding.extraction_id == Extraction.id)
                .where(BandRow.band == "broad")
            )
            photometry = {row.id: row for row in rows}
        corrected = 0
        for item in found:
            row = photometry[item.extraction_id]
            if item.spectrum.background is None:
                continue
            plain = (row.area_aperbkg * row.good_frac_area_aperbkg) / (
                row.area_aper * row.good_frac_area_aper
            )
            assert item.spectrum.bkg_ratio == row.bkg_ratio
            assert row.bkg_ratio == pytest.approx(plain / (row.bkg_correction or 1.0), rel=1e-9)
            corrected += abs((row.bkg_correction or 1.0) - 1.0) > 1e-3
        assert len(found) > 25
        assert corrected > 0


def test_light_of_neighbours_is_that_of_the_photometry(finished_project, copy_of):
    """By band the expected counts are what the aperture has, less the background's part."""
    with copy_of(finished_project) as project, project.store.read() as connection:
        rows = connection.execute(
            select(NeighbourLight.__table__, BandRow.band, BandRow.lo, BandRow.hi, Measurement.bkg_ratio)
            .join(BandRow, BandRow.id == NeighbourLight.band_id)
            .join(
                Measurement,
                (Measurement.extraction_id == NeighbourLight.extraction_id)
                & (Measurement.band_id == NeighbourLight.band_id),
            )
        ).all()
        wanted: dict[tuple[int, str], float] = {}
        for row in rows:
            key = row.extraction_id, row.band
            light = row.contam_cnts_aper - row.contam_cnts_aperbkg / row.bkg_ratio
            wanted[key] = wanted.get(key, 0.0) + light
        limits = {row.band: (row.lo, row.hi) for row in rows}
        narrow = {band: ends for band, ends in limits.items() if band != "broad"}
        found = {item.extraction_id: item.spectrum for item in stored(project)}
        assert {key for key, _ in wanted} == {
            key for key, item in found.items() if item.neighbours is not None
        }
        checked = 0
        for (extraction_id, band), light in wanted.items():
            if band in narrow:
                lo, hi = narrow[band]
                inside = (channel_energies() >= lo) & (channel_energies() < hi)
                assert found[extraction_id].neighbours[inside].sum() == pytest.approx(light, rel=1e-4)
                checked += 1
        assert checked >= 3
        assert max(wanted.values()) > 5.0


def test_predicted_counts_are_those_of_the_photometry(finished_project, copy_of):
    """The flux of the photometry folded through the response gives the counts that it came from."""
    with copy_of(finished_project) as project, project.store.read() as connection:
        rows = connection.execute(
            select(Measurement.__table__)
            .join(BandRow, BandRow.id == Measurement.band_id)
            .where(BandRow.band == "broad")
        )
        photometry = {row.extraction_id: row for row in rows}
        spectrum, checked = project.spectrum(), 0
        for item in stored(project):
            row, response = photometry[item.extraction_id], item.spectrum.response
            matrix = response.redistribution
            shape = spectrum.photons(matrix.energy_lo, matrix.energy_hi) / spectrum.photons(0.5, 7.0)
            counts = response.fold(shape * row.photflux_aper, item.spectrum.livetime)
            inside = counts[matrix.in_band(0.5, 7.0)].sum()
            if row.photflux_aper > 0:
                exposed = row.src_cnts_aper * row.psf_frac_aper
                assert inside == pytest.approx(exposed, rel=0.04), (item.name, item.obs_id)
                checked += 1
        assert checked > 10


def test_redistributions_are_kept_once(finished_project, copy_of):
    with copy_of(finished_project) as project:
        # Chips I0 to I3 share one; sources off them have S2's, the same.
        assert count(project, Response) == 1
        with project.store.read() as connection:
            row = connection.execute(select(Response.__table__)).one()
            used = connection.scalar(
                select(func.count()).select_from(Spectrum).where(Spectrum.response_id == row.id)
            )
            assert used == connection.scalar(
                select(func.count()).select_from(Spectrum).where(Spectrum.product == "source")
            )
        matrix = stored(project)[0].spectrum.response.redistribution
        built_in = project.calibration().redistribution(3)
        assert np.array_equal(matrix.matrix, built_in.matrix)
        assert np.allclose(matrix.energy_lo, built_in.energy_lo, rtol=1e-7)
        assert matrix.first_channel == 1


def test_a_source_outside_has_no_rows_and_a_reason(finished_project, copy_of, small_field):
    with copy_of(finished_project) as project, project.store.read() as connection:
        selection = select_spectra(connection, ["src17", "src0"])
        reasons = why_without_spectrum(connection, selection)
        assert next(iter(reasons.values())).endswith(": outside the field of view")
        assert len(reasons) == 1
        names = {item.keywords["OBJECT"] for item in named_spectra(connection, selection)}
        assert len(names) == 1
        assert len(list(named_spectra(connection, selection, "counts"))) == 1


def test_nothing_is_done_twice(finished_project, copy_of, dump, differences):
    with copy_of(finished_project) as project:
        before = dump(project, surrogate=True)
        assert run(project, ["spectra"], workers=1).computed == 0
        assert differences(before, dump(project, surrogate=True)) == []


def test_a_new_version_gives_the_same_rows(finished_project, copy_of, dump, differences, monkeypatch):
    with copy_of(finished_project) as project:
        before = dump(project)
        monkeypatch.setattr(spectra, "VERSION", 99)
        assert run(project, ["spectra"], workers=1).computed > 30
        changed = [line for line in differences(before, dump(project)) if not line.startswith("work_unit")]
        assert changed == []


def test_moving_a_source_changes_its_spectra_alone(finished_project, copy_of):
    from catalog.stages.contents.manage_sources import move_source

    with copy_of(finished_project) as project:
        before = {(item.source_id, item.obs_id): item for item in stored(project)}
        with project.store.read() as connection:
            chosen = connection.execute(select(Source).where(Source.label == "src3")).one()
        move_source(project, "src3", chosen.ra + 4 / 3600, chosen.dec)
        run(project, workers=1)
        run(project, ["spectra"], workers=1)
        after = {(item.source_id, item.obs_id): item for item in stored(project)}
        assert before.keys() == after.keys()
        changed = {
            key[0]
            for key, item in after.items()
            if not np.array_equal(item.spectrum.counts, before[key].spectrum.counts)
        }
        assert chosen.id in changed
        assert len(changed) <= 2


def test_removing_a_source_removes_its_spectra(finished_project, copy_of):
    from catalog.stages.contents.manage_sources import remove_source

    with copy_of(finished_project) as project:
        before = count(project, Spectrum)
        remove_source(project, "src3")
        assert before - 4 <= count(project, Spectrum) < before


def test_the_arf_of_the_user(finished_project, copy_of, reopen, tmp_path):
    edges = np.linspace(0.2, 11.0, 541)
    arf = write_arf(tmp_path / "own.arf", AncillaryResponse(edges[:-1], edges[1:], np.full(540, 100.0)))
    with copy_of(finished_project) as project:
        label = "src0"
        with reopen(project, f'[observation."70011".source.{label}]\narf = "{arf}"\n') as again:
            assert run(again, ["spectra"], workers=1).computed == 1
            with again.store.read() as connection:
                source_id = connection.scalar(select(Source.id).where(Source.label == label))
            first = stored(again, source_ids=[source_id], obs_ids=["70011"])[0].spectrum.response
            inside = (first.redistribution.energy > 0.5) & (first.redistribution.energy < 9)
            assert np.allclose(first.area[inside], 100.0 * first.good_frac, rtol=1e-3)


def test_a_background_response_by_recipe(finished_project, copy_of):
    with copy_of(finished_project) as project:
        run_recipe(project, "beside", {"spectra": {"bkg_response": True}})
        with project.store.read() as connection:
            found = load_spectra(connection, select_spectra(connection, recipe="beside").recipe.id)
        plain = {item.source_id: item for item in stored(project, obs_ids=["70011"])}
        assert found
        for item in found:
            beside = item.spectrum.background_response
            assert 0 < beside.area.max() < 800
            if item.obs_id == "70011":
                assert np.array_equal(item.spectrum.background, plain[item.source_id].spectrum.background)
                assert plain[item.source_id].spectrum.background_response is None


def test_a_grating_leaves_counts_without_response(finished_project, copy_of):
    with copy_of(finished_project) as project:
        with project.store.write() as writer:
            writer.connection.execute(
                update(Observation).where(Observation.obs_id == "70011").values(grating="HETG")
            )
        assert run(project, ["spectra"], workers=1).failed == 0
        found = stored(project)
        assert {item.spectrum.response is None for item in found if item.obs_id == "70011"} == {True}
        assert {item.spectrum.response is None for item in found if item.obs_id == "70012"} == {False}


def test_a_failure_is_a_reason_and_leaves_the_others_alone(finished_project, copy_of, monkeypatch):
    original = spectra.extract_spectrum

    def poisoned(observed, aperture, *rest):
        if aperture.theta == worst:
            raise ArithmeticError("no such thing")
        return original(observed, aperture, *rest)

    with copy_of(finished_project) as project:
        worst = stored(project)[4].theta
        before = count(project, Spectrum)
        monkeypatch.setattr(spectra, "extract_spectrum", poisoned)
        monkeypatch.setattr(spectra, "VERSION", 99)
        assert run(project, ["spectra"], workers=1).failed == 1
        assert count(project, Spectrum) == before - 2
        monkeypatch.undo()
        assert run(project, ["spectra"], workers=1).failed == 0
        assert count(project, Spectrum) == before


def test_postgresql_holds_the_same_spectra(finished_project, copy_of, postgres_url, small_field, tmp_path):
    create_project(tmp_path / "server", postgres_url)
    with open_project(tmp_path / "server") as project:
        add_observations(project, [small_field.observation(0)])
        add_sources(project, small_field.sources)
        run(project, ["apertures", "extract", "photometry", "spectra"], workers=1)
        found = {item.name: item.spectrum for item in stored(project)}
    with copy_of(finished_project) as project:
        known = {item.name: item.spectrum for item in stored(project, obs_ids=["70011"])}
    assert found.keys() == known.keys()
    for name, spectrum in found.items():
        assert np.array_equal(spectrum.counts, known[name].counts)
        assert np.array_equal(spectrum.background, known[name].background)
        assert spectrum.bkg_ratio == known[name].bkg_ratio
        assert np.array_equal(spectrum.response.psf_area, known[name].response.psf_area)
        assert spectrum.response.redistribution.identity == known[name].response.redistribution.identity


def test_what_cannot_be_selected(empty_project, finished_project, copy_of):
    nothing = pytest.raises(UnknownNameError, match="srccat run spectra")
    with copy_of(empty_project) as project, project.store.read() as connection, nothing:
        select_spectra(connection)
    with copy_of(finished_project) as project, project.store.read() as connection:
        for choices in ({"sources": ["nobody"]}, {"recipe": "none"}, {"obs_ids": ["1"]}):
            with pytest.raises(UnknownNameError):
                select_spectra(connection, **choices)
        assert len(select_spectra(connection, obs_ids=["070012"]).source_ids) > 10
