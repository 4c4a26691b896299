"""Regions drawn by a person: in force until released, neighbours give way, nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from catalog.apertures.region import region_from_dict
from catalog.errors import InputFileError, UnknownNameError, UserError
from catalog.export.region_files import export_regions
from catalog.flags import Flag
from catalog.schema.tables import EventSet, Extraction, Measurement, Observation, RegionRow, Source
from catalog.stages.base.project import create_project, open_project
from catalog.stages.contents.add_observations import add_observations
from catalog.stages.contents.add_sources import add_sources
from catalog.stages.contents.listed_regions import list_regions, release_regions
from catalog.stages.contents.manage_sources import find_source, move_source
from catalog.stages.contents.stored_regions import RegionChoice
from catalog.stages.contents.user_regions import add_regions
from catalog.stages.engine.run import run
from catalog.stages.engine.stage_list import CORE_STAGES

OBS = "70011"


def extraction(project, label, obs_id=OBS):
    with project.store.read() as connection:
        return connection.execute(
            select(Extraction.__table__)
            .join(Source, Source.id == Extraction.source_id)
            .join(EventSet, EventSet.id == Extraction.event_set_id)
            .join(Observation, Observation.id == EventSet.observation_id)
            .where(Source.label == label, Observation.obs_id == obs_id)
        ).one()


def regions_of(project, label, obs_id=OBS):
    number = extraction(project, label, obs_id).id
    with project.store.read() as connection:
        rows = connection.execute(
            select(RegionRow.role, RegionRow.shape, RegionRow.edited, RegionRow.note).where(
                RegionRow.extraction_id == number
            )
        ).all()
    return {row.role: (region_from_dict(row.shape), row.edited, row.note) for row in rows}


def drawn_file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "drawn.reg"
    path.write_text("\n".join(["# Region file format: DS9 version 4.1", "physical", *lines, ""]))
    return path


def computed(report, stage):
    return sum(count.stale for count in report.counts if count.stage == stage)


def test_a_drawn_aperture_stays_until_released(
    finished_project, copy_of, small_field, tmp_path, dump, differences
) -> None:
    with copy_of(finished_project) as project:
        before = dump(project)
        kept = dump(project, surrogate=True)["region"]
        row = extraction(project, "src3")
        shape = f"ellipse({row.x + 2!r},{row.y!r},14,8,30)"
        path = drawn_file(tmp_path, f"{shape} # text={{src3}} tag={{obs {OBS}}} tag={{source}}")
        report = add_regions(project, path, note="wider")
        assert (report.added, report.unchanged, report.remarks) == (1, 0, [])
        (line,) = list_regions(project, RegionChoice())
        assert line.waiting
        assert (line.obs_id, line.role, line.note) == (OBS, "source", "wider")
        done = run(project, CORE_STAGES, workers=1)
        assert computed(done, "extract") == computed(done, "photometry") == 1
        region, edited, note = regions_of(project, "src3")["source"]
        assert (edited, note) == (True, "wider")
        assert region.shape.to_dict() == {
            "shape": "ellipse",
            "x": row.x + 2,
            "y": row.y,
            "first": 14.0,
            "second": 8.0,
            "angle": 30.0,
        }
        new = extraction(project, "src3")
        assert new.flags & Flag.DRAWN_REGION
        assert not new.flags & (Flag.OFF_SOURCE | Flag.CONFUSED)
        assert not extraction(project, "src3", "70012").flags & Flag.DRAWN_REGION
        assert new.area_aper == pytest.approx(np.pi * 14 * 8 * 0.492**2, rel=1e-9)
        assert counts(project, new.id) == brute_counts(small_field, shape)
        # Regions of no other source were written anew.
        after = dump(project, surrogate=True)["region"]
        changed = {key[0][0] for key in kept if kept[key] != after.get(key)}
        assert changed == {(find_origin(project, "src3"),)}
        # A run for another reason leaves it in force.
        more = tmp_path / "more.csv"
        more.write_text(f"ra,dec,name\n{small_field.ra[3]},{small_field.dec[3] + 6 / 3600},beside\n")
        add_sources(project, more)
        run(project, CORE_STAGES, workers=1)
        assert regions_of(project, "src3")["source"][0] == region
        assert not list_regions(project, RegionChoice())[0].waiting
        assert run(project, CORE_STAGES, workers=1).run_id is None
    with copy_of(finished_project) as project:
        add_regions(project, path)
        run(project, workers=1)
        assert release_regions(project, RegionChoice(("src3",))) == 1
        assert release_regions(project, RegionChoice(("src3",))) == 0
        assert [row.released for row in list_regions(project, RegionChoice())] == [True]
        # What was given up is no longer in force, so that it may be drawn again.
        assert add_regions(project, path).added == 1
        release_regions(project, RegionChoice(("src3",)))
        run(project, workers=1)
        assert not differences(before, dump(project))


def find_origin(project, label):
    with project.store.read() as connection:
        return find_source(connection, label).origin_hpx29


def counts(project, extraction_id):
    with project.store.read() as connection:
        return sorted(
            connection.scalars(
                select(Measurement.cnts_aper).where(Measurement.extraction_id == extraction_id)
            )
        )


def brute_counts(small_field, shape):
    """Counts by the regions package and astropy, in the four bands, ascending."""
    from regions import PixCoord, Regions

    (path,) = small_field.observation(0).glob("**/*evt2*")
    with fits.open(path) as hdus:
        table = hdus["EVENTS"].data
        x, y, energy = (np.asarray(table[name], dtype=float) for name in ("x", "y", "energy"))
    (theirs,) = Regions.parse(f"image\n{shape}\n", format="ds9")
    # ds9's image pixels count from 1, theirs from 0.
    inside = theirs.contains(PixCoord(x - 1, y - 1))
    limits = ((500, 1200), (1200, 2000), (2000, 7000), (500, 7000))
    return sorted(int((inside & (energy >= low) & (energy < high)).sum()) for low, high in limits)


def test_neighbours_give_way(finished_project, copy_of, tmp_path) -> None:
    with copy_of(finished_project) as project:
        row, other = extraction(project, "src0"), extraction(project, "src14")
        # Over most of the way to the neighbour 3 arcsec away.
        x, y = row.x + 0.35 * (other.x - row.x), row.y + 0.35 * (other.y - row.y)
        path = drawn_file(tmp_path, f"circle({x!r},{y!r},5)")
        add_regions(project, path, source="src0", obs_id=OBS, role="source")
        run(project, workers=1)
        drawn = regions_of(project, "src0")["source"][0]
        neighbour = regions_of(project, "src14")
        background = regions_of(project, "src0")["background"][0]
    rng = np.random.default_rng(4)
    u, v = x + rng.uniform(-8, 8, 20000), y + rng.uniform(-8, 8, 20000)
    inside = drawn.contains(u, v)
    assert inside.any()
    for region, edited, _ in neighbour.values():
        assert not (region.contains(u, v) & inside).any()
        assert not edited
        assert region.area > 0
    assert not (background.contains(u, v) & inside).any()


def test_an_export_comes_back_unchanged(finished_project, copy_of, tmp_path) -> None:
    with copy_of(finished_project) as project:
        total = len(list_regions(project, RegionChoice(), everything=True))
        for name, obs_id, frame in (
            ("all.reg", None, "icrs"),
            ("one.reg", OBS, "physical"),
            ("all.fits", None, "icrs"),
        ):
            number = export_regions(project, tmp_path / name, RegionChoice(obs_id=obs_id), frame=frame)
            assert number == (total if obs_id is None else number) > 0
            report = add_regions(project, tmp_path / name)
            assert (report.added, report.unchanged, report.remarks) == (0, number, [])
        # As ds9 writes it back, with fewer digits, and one source edited.
        text = (tmp_path / "all.reg").read_text()
        (line,) = (
            line
            for line in text.splitlines()
            if "text={src3}" in line and f"tag={{obs {OBS}}}" in line and line.startswith("circle")
        )
        edited = line.replace(line.split(",")[2].partition(")")[0], '9.0"')
        (tmp_path / "edited.reg").write_text(text.replace(line, edited))
        report = add_regions(project, tmp_path / "edited.reg")
        assert (report.added, report.unchanged) == (1, total - 1)
        (row,) = list_regions(project, RegionChoice())
        assert (row.label, row.obs_id, row.region.shape.reach[2] * 0.492) == ("src3", OBS, pytest.approx(9.0))


def test_the_background_and_both(finished_project, copy_of, tmp_path) -> None:
    with copy_of(finished_project) as project:
        row = extraction(project, "src5")
        path = drawn_file(
            tmp_path,
            f"circle({row.x!r},{row.y!r},9) # text={{src5}}",
            f"box({row.x + 60!r},{row.y!r},40,40,10) # background text={{src5}}",
            f"+circle({row.x - 60!r},{row.y!r},20) # background text={{src5}}",
            f"-circle({row.x + 60!r},{row.y!r},5)",
        )
        with pytest.raises(InputFileError, match="without role"):
            add_regions(project, path, obs_id=OBS)
        path.write_text(path.read_text().replace("9) # text", "9) # tag={source} text"))
        report = add_regions(project, path, obs_id=OBS)
        assert report.added == 2
        run(project, workers=1)
        found = regions_of(project, "src5")
        new = extraction(project, "src5")
    assert {role: edited for role, (_, edited, _) in found.items()} == {"source": True, "background": True}
    area = 40 * 40 + np.pi * 20**2 - np.pi * 5**2
    assert new.area_aperbkg == pytest.approx(area * 0.492**2, rel=1e-5)


@pytest.mark.parametrize(
    ("line", "options", "code", "words"),
    [
        ("circle({x0},{y0},6)", {"source": "src3"}, "REGION_OTHER_SOURCE", "nearer to source 1 (src0)"),
        ("circle({x3},{y3},6)", {"source": "nobody"}, "UNKNOWN_SOURCE", "nobody"),
        ("circle({x3},{y3},6)", {"source": "src3", "obs_id": "1"}, "UNKNOWN_OBSERVATION", "line 3"),
        ("circle({x3},{y3},6)", {"source": "src3", "recipe": "no"}, "UNKNOWN_RECIPE", "line 3"),
        ("circle({x3},{y3},6)", {"source": "src3", "role": "mask"}, "REGION_LABEL", "mask"),
        ("circle({x3},{y3},6)", {"source": "src17"}, "REGION_OUTSIDE", "src17"),
        ("circle({x3},{y3},6)", {"source": ""}, "REGION_LABEL", "without source"),
        ("ellipse(100,100,9,3,0)", {"source": "src3"}, "REGION_OUTSIDE", "the region lies"),
        ("circle({x3},{y3},0)", {"source": "src3"}, "REGION_EMPTY", "line 3"),
    ],
)
def test_refusals_leave_nothing_behind(
    finished_project, copy_of, tmp_path, line, options, code, words
) -> None:
    with copy_of(finished_project) as project:
        one, three = extraction(project, "src0"), extraction(project, "src3")
        text = line.format(x0=one.x, y0=one.y, x3=three.x, y3=three.y)
        # A healthy region beside it must not be taken either.
        good = f"circle({one.x},{one.y},5) # text={{src0}} tag={{obs {OBS}}} tag={{source}}"
        labels = {"source": "src3", "obs_id": OBS, "role": "source", **options}
        path = drawn_file(tmp_path, text)
        with pytest.raises(UserError) as caught:
            add_regions(project, path, **labels)
        assert caught.value.code == code
        assert words in str(caught.value)
        if options.keys() == {"source"} and labels["source"]:
            tags = f"text={{{labels['source']}}} tag={{obs {OBS}}} tag={{source}}"
            path = drawn_file(tmp_path, good, f"{text} # {tags}")
            with pytest.raises(UserError):
                add_regions(project, path)
        assert list_regions(project, RegionChoice()) == []


def test_an_aperture_of_another_source_by_force(finished_project, copy_of, tmp_path, small_field) -> None:
    with copy_of(finished_project) as project:
        row = extraction(project, "src3")
        path = drawn_file(tmp_path, f"circle({row.x + 30!r},{row.y!r},6)")
        with pytest.raises(InputFileError, match="does not hold its position"):
            add_regions(project, path, source="src3", obs_id=OBS, role="source")
        report = add_regions(project, path, source="src3", obs_id=OBS, role="source", force=True)
        assert len(report.remarks) == 1
        run(project, workers=1)
        assert extraction(project, "src3").flags & Flag.OFF_SOURCE
        # The source moves to where the region is: all is well.
        frame = small_field
        ra = float(frame.ra[3]) - 30 * 0.492 / 3600 / np.cos(np.radians(frame.dec[3]))
        move_source(project, "src3", ra, float(frame.dec[3]))
        run(project, workers=1)
        assert not extraction(project, "src3").flags & Flag.OFF_SOURCE


def test_unknown_names_of_a_choice(finished_project, copy_of) -> None:
    with copy_of(finished_project) as project:
        with pytest.raises(UnknownNameError):
            release_regions(project, RegionChoice(("nobody",)))
        with pytest.raises(UnknownNameError):
            list_regions(project, RegionChoice(obs_id="9"))
        with pytest.raises(UserError):
            list_regions(project, RegionChoice(role="aperture"))


def test_postgresql_draws_the_same(
    finished_project, copy_of, small_field, postgres_url, tmp_path, dump, differences
) -> None:
    """Drawn, edited, measured, exported and released on a server as in a file."""
    create_project(tmp_path / "server", postgres_url)
    with open_project(tmp_path / "server") as project:
        add_observations(project, [small_field.observation(0), small_field.observation(1)])
        add_sources(project, small_field.sources)
        run(project, workers=1)
    with copy_of(finished_project) as embedded, open_project(tmp_path / "server") as server:
        before = dump(server)
        row = extraction(embedded, "src3")
        path = drawn_file(
            tmp_path,
            f"ellipse({row.x!r},{row.y!r},9,6,30) # text={{src3}} tag={{source}}",
            f"-circle({row.x + 3!r},{row.y!r},2)",
            f"annulus({row.x!r},{row.y!r},20,40) # text={{src3}} tag={{background}}",
        )
        bad = tmp_path / "bad.reg"
        bad.write_text("physical\ncircle(1,1,0) # text={src3} tag={source}\n")
        found = []
        for project in (embedded, server):
            report = add_regions(project, path, obs_id=OBS, note="by hand")
            with pytest.raises(InputFileError):
                add_regions(project, bad, obs_id=OBS)
            run(project, CORE_STAGES, workers=1)
            export_regions(project, tmp_path / "out.reg", RegionChoice())
            listed = [
                (item.label, item.obs_id, item.role, item.region, item.note)
                for item in list_regions(project, RegionChoice())
            ]
            found.append((report.added, report.unchanged, (tmp_path / "out.reg").read_text(), listed))
        assert found[0][:2] == (2, 0)
        assert found[0] == found[1]
        assert not differences(dump(embedded), dump(server))
        assert release_regions(server, RegionChoice(sources=("src3",))) == 2
        run(server, CORE_STAGES, workers=1)
        assert not differences(before, dump(server))
