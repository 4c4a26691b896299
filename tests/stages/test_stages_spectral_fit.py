"""Stage `spectral_fit`: rows of fits, what is fitted again, choices of a person, failures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from astropy.io import fits
from sqlalchemy import delete, select

from catalog.errors import ProjectError, UnknownNameError
from catalog.export.spectra_selection import select_spectra
from catalog.export.styles.srcflux import srcflux_files
from catalog.recipes.recipe import merge_choices, recipe_from_content
from catalog.schema.tables import Merge, Source, SpectralFit, SpectralFlux, WorkUnit
from catalog.stages.base.project import open_project
from catalog.stages.base.recipe_store import add_recipe
from catalog.stages.contents.live_fits import FitRequest, fit_source
from catalog.stages.engine.run import due_stages, run
from catalog.stages.engine.stage_list import COMMON_STAGES, STAGES
from catalog.stages.steps.spectral_fit_rows import AUTOMATIC, choose_model
from catalog.store.runs import begin_run, finish

STAGE = "spectral_fit"


def set_choices(project, **choices) -> None:
    with project.store.write() as writer:
        run_id = begin_run(writer, "recipe add", project.frozen_settings(), [])
        content = merge_choices({"name": "default"}, {"spectral_fit": choices})
        add_recipe(writer, run_id, recipe_from_content(content, "test"))
        finish(writer, run_id, "done", {})


def rows(project) -> list:
    with project.store.read() as connection:
        return list(
            connection.execute(
                select(SpectralFit.__table__, Merge.source_id)
                .join(Merge, Merge.id == SpectralFit.merge_id)
                .order_by(Merge.source_id, SpectralFit.fit_scope, SpectralFit.model)
            )
        )


def plain(project) -> list[tuple]:
    return [
        tuple(value for name, value in row._mapping.items() if name not in ("id", "run_id"))
        for row in rows(project)
    ]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, finished_project: Path) -> Path:
    import shutil

    folder = tmp_path_factory.mktemp("fitted") / "project"
    shutil.copytree(finished_project, folder)
    with open_project(folder) as project:
        set_choices(project, models=["powerlaw", "blackbody"])
        assert run(project, [STAGE], workers=1).failed == 0
    return folder


def test_it_runs_only_when_it_is_named(finished_project, fitted):
    assert STAGE in STAGES
    assert STAGE not in COMMON_STAGES
    with open_project(finished_project) as project:
        assert STAGE not in due_stages(project)
        assert rows(project) == []
    with open_project(fitted) as project:
        assert STAGE in due_stages(project)


def test_each_source_has_its_fits(fitted):
    with open_project(fitted) as project:
        found = rows(project)
        with project.store.read() as connection:
            fluxes = connection.execute(select(SpectralFlux.__table__)).all()
            merges = dict(connection.execute(select(Merge.source_id, Merge.n_obs)).all())
    assert len(found) > 20
    by_source: dict[int, list] = {}
    for row in found:
        by_source.setdefault(row.source_id, []).append(row)
        assert row.fit_scope == "joint"
        assert row.fit_status in ("ok", "limit", "bound", "not_converged")
        assert row.degrees_of_freedom > 100
        frozen = {name for name, item in row.parameters.items() if item["frozen"]}
        assert frozen == set(filter(None, row.fit_frozen.split(",")))
        assert ("photon_index" in row.parameters) == (row.model == "powerlaw")
        assert row.fit_photon_index == row.parameters.get("photon_index", {}).get("value")
        if row.fit_status == "ok":
            assert row.fit_norm_lolim is None or row.fit_norm_lolim < row.fit_norm < row.fit_norm_hilim
    for source_id, own in by_source.items():
        assert merges[source_id] > 0
        assert sorted(row.model for row in own) == ["blackbody", "powerlaw"]
        assert sum(row.preferred for row in own) == (
            0 if all(r.fit_status == "not_converged" for r in own) else 1
        )
    assert len(fluxes) == 4 * len(found)
    for flux in fluxes:
        assert flux.uflux_fit >= flux.flux_fit >= 0
        if flux.flux_fit_lolim is not None:
            assert flux.flux_fit_lolim <= flux.flux_fit <= flux.flux_fit_hilim


def test_the_same_again_when_asked_alone(fitted):
    with open_project(fitted) as project, project.store.read() as connection:
        best = max(rows(project), key=lambda row: row.fit_cnts)
        stored = select_spectra(connection).recipe
        live = fit_source(connection, project, stored, best.source_id, FitRequest(models=(best.model,)))
        assert len(live) == 1
        assert live[0].result.statistic == best.statistic
        assert live[0].result.parameter("norm").value == best.fit_norm
        each = fit_source(
            connection, project, stored, best.source_id, FitRequest(models=("powerlaw",), scope="each")
        )
        merged = fit_source(
            connection, project, stored, best.source_id, FitRequest(models=("powerlaw",), scope="merged")
        )
        assert [item.input.scope for item in merged] == ["merged"]
        assert sum(item.result.net_counts for item in each) == pytest.approx(merged[0].result.net_counts)
        joint = fit_source(connection, project, stored, best.source_id, FitRequest(models=("powerlaw",)))
        index, other = (item[0].result.parameter("photon_index") for item in (joint, merged))
        assert abs(index.value - other.value) < 0.3 * (index.hi68 - index.lo68) / 2
        with pytest.raises(UnknownNameError, match="no such parameter"):
            fit_source(connection, project, stored, best.source_id, FitRequest(frozen=(("kt", 1.0),)))


def test_srcflux_tables_carry_the_preferred_fits(fitted, tmp_path):
    with open_project(fitted) as project:
        stored = {row.source_id: row for row in rows(project) if row.preferred}
        with project.store.read() as connection:
            recipe = select_spectra(connection).recipe.recipe
            paths = {path.name: path for path in srcflux_files(connection, recipe, tmp_path / "out")}
            places = {row.id: row for row in connection.execute(select(Source.__table__))}
    # The fits are joint ones: tables of single observations have no column of them.
    assert not any(name.startswith("FIT") for name in fits.getdata(paths["out_obi001_soft.flux"], 1).names)
    table = fits.getdata(paths["out_broad.flux"], 1)
    assert list(table.names).index("FIT_MODEL") == list(table.names).index("TOTAL_BG_FLUX_APER") + 1
    by_place = {(round(place.ra, 7), round(place.dec, 7)): source_id for source_id, place in places.items()}
    seen = 0
    for row in table:
        fit = stored.get(by_place[round(float(row["RAPOS"]), 7), round(float(row["DECPOS"]), 7)])
        assert row["FIT_MODEL"] == ("" if fit is None else fit.model)
        if fit is not None:
            assert row["FIT_NH"] == pytest.approx(fit.fit_nh * 1e-22)
            assert row["FIT_STATISTIC"] == fit.statistic
            assert (row["FIT_PHOINDEX"] == fit.fit_photon_index) == (fit.model == "powerlaw")
            assert row["FIT_UMFLUX"] >= row["FIT_MFLUX"] > 0 or fit.fit_status == "bound"
            seen += 1
    assert seen == len(stored) > 10
    soft = fits.getdata(paths["out_soft.flux"], 1)
    assert (soft["FIT_MFLUX"] <= table["FIT_MFLUX"])[table["FIT_MODEL"] != ""].all()


def test_only_what_changed_is_fitted_again(fitted, copy_of):
    with copy_of(fitted) as project:
        before = plain(project)
        assert run(project, [STAGE], workers=1).computed == 0
        # A spectrum that is stored anew with the same content changes nothing.
        with project.store.write() as writer:
            writer.connection.execute(
                delete(WorkUnit).where(WorkUnit.stage == STAGE, WorkUnit.source_id <= 2)
            )
        assert run(project, [STAGE], workers=1).computed == 2
        assert plain(project) == before
    with copy_of(fitted, "[spectrum]\nnh = 0.3\n") as project:
        assert run(project, [STAGE], dry_run=True).computed == len(
            {row.source_id for row in rows(project)} | set(range(1, 20))
        )


def test_a_choice_stays_until_it_is_taken_back(fitted, copy_of):
    with copy_of(fitted) as project:
        first = next(row for row in rows(project) if row.preferred)
        other = next(r for r in rows(project) if r.source_id == first.source_id and r.model != first.model)

        def choose(model: str) -> None:
            with project.store.write() as writer:
                run_id = begin_run(writer, "spectra prefer", project.frozen_settings(), [])
                choose_model(writer, run_id, first.source_id, model, "somebody", "lines")
                finish(writer, run_id, "done", {})

        def preferred() -> tuple[str, str]:
            own = [row for row in rows(project) if row.source_id == first.source_id and row.preferred]
            assert len(own) == 1
            return own[0].model, own[0].preference

        choose(other.model)
        assert preferred()[0] == other.model
        assert preferred()[1].startswith("chosen by somebody: lines | ")
        with project.store.write() as writer:
            writer.connection.execute(
                delete(WorkUnit).where(WorkUnit.stage == STAGE, WorkUnit.source_id == first.source_id)
            )
        assert run(project, [STAGE], workers=1).computed == 1
        assert preferred()[0] == other.model
        choose(AUTOMATIC)
        assert preferred() == (first.model, first.preference)
        with pytest.raises(UnknownNameError, match="no fit of this model"):
            choose("thermal")


def test_a_fit_without_time_is_a_row_that_says_so(finished_project, copy_of):
    with copy_of(finished_project) as project:
        set_choices(project, timeout=1e-9)
        report = run(project, [STAGE], workers=1)
        assert report.failed == 0
        found = rows(project)
        assert {row.fit_status for row in found} == {"timeout"}
        assert all("longer" in row.fit_message for row in found)
        assert all(row.statistic is None and row.parameters == {} for row in found)
        assert not any(row.preferred for row in found)


def test_a_thermal_model_wants_a_table(finished_project, copy_of):
    with copy_of(finished_project) as project:
        set_choices(project, models=["thermal"])
        report = run(project, [STAGE], workers=1)
        assert set(report.reasons) == {"TABLE_MODEL"}
        assert rows(project) == []


def test_without_sherpa_it_says_once_what_to_install(finished_project, copy_of, monkeypatch):
    monkeypatch.setattr("catalog.stages.steps.spectral_fit.find_spec", lambda _name: None)
    monkeypatch.delitem(sys.modules, "catalog.measure.spectral_sherpa", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "sherpa"]:
        monkeypatch.setitem(sys.modules, name, None)
    with copy_of(finished_project) as project, pytest.raises(ProjectError) as caught:
        run(project, [STAGE], workers=1)
    assert caught.value.code == "NO_SHERPA"
    assert "srccat[spectral]" in str(caught.value)


def test_without_spectra_it_says_what_to_run(finished_project, copy_of):
    with copy_of(finished_project) as project:
        with project.store.write() as writer:
            writer.connection.execute(delete(WorkUnit).where(WorkUnit.stage == "spectra"))
        assert run(project, [STAGE], dry_run=True).counts[0].stale > 0
        with pytest.raises(UnknownNameError, match=r"no spectra are stored: recipe default; .*run spectra"):
            run(project, [STAGE], workers=1)
        with project.store.read() as connection:
            units = connection.scalars(select(WorkUnit.id).where(WorkUnit.stage == STAGE)).all()
        assert units == []
