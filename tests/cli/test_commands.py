"""Each command: its help, its way of finding the project, what it prints and writes."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from astropy.io import fits, votable
from astropy.table import Table
from command_line import (
    DEC,
    OBS_IDS,
    OUTSIDE,
    RA,
    Done,
    Field,
    Srccat,
    commands,
    content,
    parse,
    rows_of,
    run_script,
)

COMMANDS = {" ".join(words): command for words, command in commands().items()}
RUNS = "SELECT COUNT(*) FROM run"

# Help


def test_all_commands_of_the_design_are_there() -> None:
    wanted = """init; add observations; add sources; run; status; export; query; cone; compare; doctor; demo;
        sources list; sources move; sources remove; sources rename; sources history; flags explain;
        recipe list; recipe show; recipe diff; recipe add; db upgrade; db check; db copy"""
    assert {" ".join(name.split()) for name in wanted.split(";")} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name: str, done: Done) -> None:
    text = done(*name.split(), "--help")
    assert text.startswith(f"Usage: srccat {name} [OPTIONS]")
    first, _, rest = COMMANDS[name].help.partition("\n\n")
    assert "\n" not in first
    assert first.endswith(".")
    # The list of commands shows that line whole, on a terminal of 80 columns.
    *group, own = name.split()
    assert re.search(rf"^  {own} +{re.escape(first)}$", done(*group, "--help"), re.MULTILINE)
    examples = re.search(r"Examples?: (.+)", " ".join(rest.split()))
    assert examples, f"no example in the help of {name}"
    for line in examples[1].split("; "):
        program, *words = shlex.split(line)
        assert program == "srccat"
        assert " ".join(parse(words)) == name
    for item in COMMANDS[name].params:
        assert item.name in ("first", "second") or item.help, f"{name}: {item.name} has no help"
        assert max(item.opts, key=len) in text or item.param_type_name == "argument"


def test_help_without_a_command(srccat: Srccat) -> None:
    for words in ([], ["sources"], ["recipe"], ["flags"], ["db"], ["add"]):
        outcome = srccat(*words)
        assert outcome.code == 2
        assert outcome.err == srccat(*words, "--help").out or outcome.err.startswith("Usage: srccat")
    assert run_script("-h").stdout == run_script("--help").stdout
    assert re.fullmatch(r"srccat \d+\.\d+\.\d+\n", run_script("--version").stdout)


# The project

LOOKING = (
    ["status"],
    ["status", "--json"],
    ["sources", "list"],
    ["sources", "history"],
    ["query", "SELECT name, flux_aper_b FROM catalog ORDER BY name, recipe"],
    ["cone", str(RA), str(DEC), "10arcmin"],
    ["compare", "default", "srcflux"],
    ["recipe", "list"],
    ["recipe", "show", "srcflux"],
    ["recipe", "diff", "default", "srcflux"],
    ["run", "--dry-run"],
    ["doctor"],
    ["db", "check"],
    ["db", "upgrade"],
)


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_three_ways_to_name_the_project(
    words: list[str], done: Done, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(finished)
    by_environment = done(*words)
    assert by_environment.strip()
    monkeypatch.setenv("SRCCAT_PROJECT", "/nowhere")
    assert done(*words, "--project", finished) == by_environment
    monkeypatch.delenv("SRCCAT_PROJECT")
    monkeypatch.chdir(finished)
    assert done(*words) == by_environment
    assert content(finished) == before


def test_all_other_commands_take_a_project() -> None:
    without = {
        name for name, command in COMMANDS.items() if "project" not in {p.name for p in command.params}
    }
    assert without == {"flags explain", "flags list", "demo"}


def test_init_in_three_ways(done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("init", tmp_path / "a" / "b")
    done("init", "--project", tmp_path / "c", "--recipe", "srcflux", "--database", "sqlite:///cat/../mine.db")
    monkeypatch.setenv("SRCCAT_PROJECT", str(tmp_path / "d"))
    done("init")
    for folder, recipes, name in (
        ("a/b", "default", "srccat"),
        ("c", "srcflux", "mine"),
        ("d", "default", "srccat"),
    ):
        assert (tmp_path / folder / f"{name}.db").is_file()
        assert f"recipes {recipes}\n" in done("status", "--project", tmp_path / folder).replace(
            "0 sources, ", "\n"
        )


# Adding


def test_dry_run_changes_nothing(done: Done, empty: Path, field: Field) -> None:
    before = content(empty)
    printed = done("add", "observations", field.folder, "--dry-run")
    assert content(empty) == before
    for obs_id in OBS_IDS:
        assert f"ObsID {obs_id}: " in printed
    assert "2 event lists found" in printed
    assert "aspect: " in printed
    assert "no bad pixels: bad pixels and columns count as good" in printed


def test_add_observations_json(done: Done, empty: Path, field: Field) -> None:
    found = json.loads(done("add", "observations", field.folder / "701*", "--json"))
    assert [item["obs_id"] for item in found] == list(OBS_IDS)
    assert {item["outcome"] for item in found} == {"added"}
    for item, number in zip(found, (0, 1), strict=True):
        with fits.open(field.events(number)) as hdus:
            dropped = sum((item["dropped"] or {}).values())
            assert item["n_events"] + dropped == len(hdus["EVENTS"].data)
        assert Path(item["events"]) == field.events(number)
        assert [Path(path).name[:4] for path in item["aspect"]] == ["pcad"]
        assert "bad pixels" in item["missing"]
    before = content(empty)
    again = json.loads(done("add", "observations", field.folder, "--json"))
    assert [item["outcome"] for item in again] == ["unchanged", "unchanged"]
    assert content(empty) == before


def test_add_an_observation_with_another_role(done: Done, finished: Path, field: Field) -> None:
    assert "1 added" in done("add", "observations", field.events(), "--role", "validation")
    roles = rows_of(finished, "SELECT role FROM event_set ORDER BY role")
    assert roles == [("photometry",), ("validation",)]


def test_same_list_twice(done: Done, empty: Path, field: Field) -> None:
    printed = done("add", "sources", field.sources)
    assert f"10 sources added, 0 known already, from {field.sources}" in printed
    before = content(empty)
    assert "0 sources added, 10 known already" in done("add", "sources", field.sources)
    assert content(empty) == before
    told = json.loads(done("add", "sources", field.sources, "--json"))
    assert (told["n_listed"], told["n_added"], told["n_known"], told["near"]) == (10, 0, 10, [])


@pytest.mark.parametrize(
    "words",
    [
        ["161.25 -30.5"],
        ["161.25", "-30.5"],
        ["10:45:00", "-30:30:00"],
        ["10h45m00s -30d30m00s"],
        ["10 45 00 -30 30 00"],
        ["161.25,-30.5"],
    ],
    ids=" ".join,
)
def test_one_position(words: list[str], done: Done, empty: Path) -> None:
    assert "1 source added" in done("add", "sources", *words)
    ((ra, dec, name),) = rows_of(empty, "SELECT ra, dec, name FROM source")
    assert (ra, dec) == pytest.approx((161.25, -30.5), abs=1e-9)
    assert name == "CXOU J104500.00-303000.0"


def test_near_position_is_taken_for_the_source(done: Done, empty: Path) -> None:
    done("add", "sources", "161.25 -30.5")
    printed = done("add", "sources", f"161.25 {-30.5 + 0.3 / 3600}")
    assert 'row 1 lies 0.30" from CXOU J104500.00-303000.0' in printed
    assert "0 sources added, 1 known already" in printed
    assert "1 source added" in done("add", "sources", f"161.25 {-30.5 + 0.6 / 3600}")


def test_lists_of_every_kind(done: Done, tmp_path: Path, field: Field, empty_template: Path) -> None:
    table = Table.read(field.sources)
    kinds = {"fits": "fits", "vot": "votable", "ecsv": "ascii.ecsv", "tsv": "ascii.tab"}
    for suffix, kind in kinds.items():
        table.write(f"list.{suffix}", format=kind)
    lines = [f'circle({row["ra"]},{row["dec"]},5") # text={{{row["name"]}}}' for row in table]
    Path("list.reg").write_text("\n".join(["icrs", *lines]) + "\n")
    renamed = table.copy()
    renamed.rename_columns(["ra", "dec", "name"], ["lambda", "beta", "who"])
    renamed.write("other.csv", format="ascii.csv")
    every = [[f"list.{suffix}"] for suffix in (*kinds, "reg")]
    every.append(["other.csv", "--ra", "lambda", "--dec", "beta", "--name", "who"])
    for number, words in enumerate(every):
        project = shutil.copytree(empty_template, tmp_path / f"kind{number}")
        assert "10 sources added" in done("add", "sources", *words, "--project", project)
        found = rows_of(project, "SELECT ra, dec, label FROM source ORDER BY id")
        assert {row[2] for row in found} == {str(name) for name in table["name"]}, words
        for row, (ra, dec, _) in zip(table, found, strict=True):
            assert (ra, dec) == pytest.approx((row["ra"], row["dec"]), abs=2e-8)


# Running


def test_run_again_computes_nothing(done: Done, finished: Path) -> None:
    before = content(finished)
    assert done("run") == "everything is up to date\n"
    report = json.loads(done("run", "--json"))
    assert (report["run_id"], report["computed"], report["failed"]) == (None, 0, 0)
    assert content(finished) == before


def test_run_stages_and_recipes_by_name(done: Done, finished: Path, field: Field) -> None:
    done("add", "observations", field.events(1))
    plan = json.loads(done("run", "--dry-run", "--json"))
    assert plan["run_id"] is None
    assert {(c["stage"], c["recipe"]) for c in plan["counts"] if c["stale"]} >= {
        ("apertures", "default"),
        ("apertures", "srcflux"),
    }
    before = rows_of(finished, RUNS)
    done("run", "--dry-run")
    assert rows_of(finished, RUNS) == before
    report = json.loads(done("run", "apertures", "extract", "--recipe", "srcflux", "--json"))
    assert {(c["stage"], c["recipe"]) for c in report["counts"] if c["stale"]} == {
        ("apertures", "srcflux"),
        ("extract", "srcflux"),
    }
    assert report["failed"] == 0
    assert "stale: `srccat run` brings them up to date" in done("status")
    done("run", "--workers", "1")
    assert "everything is up to date" in done("status")
    assert rows_of(finished, "SELECT MAX(n_obs) FROM catalog") == [(2,)]


def test_run_without_anything(done: Done, empty: Path) -> None:
    assert "nothing to do: add observations and sources first" in done("run")


def test_status_json(done: Done, finished: Path) -> None:
    told = json.loads(done("status", "--json"))
    assert told["n_sources"] == 10
    assert told["recipes"] == ["default", "srcflux"]
    assert told["stale"] == 0
    assert told["failures"] == []
    assert told["database"] == str(finished / "srccat.db")
    assert [item["obs_id"] for item in told["observations"]] == [OBS_IDS[0]]
    assert told["last_run"][:2] == ["run", "done"]


def test_lost_event_list_fails_its_units_and_names_the_file(
    srccat: Srccat, done: Done, empty: Path, field: Field
) -> None:
    moved = shutil.copytree(field.folder / OBS_IDS[0], "moved")
    done("add", "observations", moved)
    done("add", "sources", field.sources)
    shutil.move(moved, "elsewhere")
    outcome = srccat("run", "--workers", "1")
    assert outcome.code == 1
    assert re.search(r"moved.*evt2\.fits\.gz", outcome.out + outcome.err), outcome
    assert set(rows_of(empty, "SELECT cnts_aper FROM measurement")) == {(None,)}
    health = srccat("doctor")
    assert health.code == 1
    assert re.search(rf"^ObsID {OBS_IDS[0]}: .*moved", health.out, re.MULTILINE)
    # Found again, it is measured.
    shutil.move("elsewhere", moved)
    assert "0 failed" in done("run", "--workers", "1")
    assert rows_of(empty, "SELECT COUNT(*) FROM measurement WHERE cnts_aper > 0")[0][0] > 10


def test_doctor(done: Done, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = done("doctor")
    for word in (
        "srccat ",
        "numpy ",
        f"ObsID {OBS_IDS[0]}: aspect aspect solution",
        "calibration: ",
        "database: ",
    ):
        assert word in printed
    monkeypatch.delenv("SRCCAT_PROJECT")
    assert "`srccat init` makes one" in done("doctor")


# Flags and recipes


def test_flags(done: Done) -> None:
    assert [line.split(":")[0] for line in done("flags", "explain", "72").splitlines()] == [
        "8 bound_only",
        "64 no_background",
    ]
    assert done("flags", "explain", "0") == "0: no caveat\n"
    listed = done("flags", "list")
    assert "  near_edge" in listed
    assert all(sum(c.isalpha() for c in line) > 10 for line in listed.splitlines())


def test_recipes(done: Done, finished: Path) -> None:
    Path("mine.toml").write_text(
        'name = "mine"\ninherits = "default"\nbands = ["broad", "lines=1:2:1.5"]\nconfidence = 0.9\n'
    )
    assert "recipe mine stored" in done("recipe", "add", "mine.toml")
    shown = done("recipe", "show", "mine")
    assert "confidence = 0.9" in shown
    difference = [line.split()[0] for line in done("recipe", "diff", "default", "mine").splitlines()]
    assert difference == ["choice", "bands", "confidence"]
    assert done("recipe", "diff", "mine", "mine") == "no difference\n"
    assert re.search(r"^mine +yes ", done("recipe", "list"), re.MULTILINE)
    done("run", "--recipe", "mine", "--workers", "1")
    bands = rows_of(finished, "SELECT DISTINCT band FROM detections WHERE recipe = 'mine' ORDER BY band")
    assert bands == [("broad",), ("lines",)]
    # The same counts, another interval.
    statement = (
        "SELECT a.cnts_aper_b - b.cnts_aper_b, (a.src_cnts_aper_hilim_b - a.src_cnts_aper_lolim_b) "
        "/ (b.src_cnts_aper_hilim_b - b.src_cnts_aper_lolim_b) "
        "FROM catalog a JOIN catalog b USING (source_id) WHERE a.recipe = 'mine' AND b.recipe = 'default' "
        "AND b.src_significance_b > 3"
    )
    rows = rows_of(finished, statement)
    assert len(rows) > 2
    for counts, widths in rows:
        assert counts == 0
        assert 1.5 < widths < 1.8  # 1.645 / 0.994 for a Gaussian
    # What it shows can be read again.
    Path("again.toml").write_text(shown.replace('"mine"', '"again"'))
    done("recipe", "add", "again.toml")
    assert done("recipe", "diff", "mine", "again") == "no difference\n"


def test_shipped_recipes_need_no_project(done: Done) -> None:
    assert re.search(r"^srcflux +no ", done("recipe", "list"), re.MULTILINE)
    assert "confidence = 0.9" in done("recipe", "show", "srcflux")


# Sources


def test_sources(done: Done, finished: Path) -> None:
    listed = json.loads(done("sources", "list", "--json"))
    assert [row["label"] for row in listed] == [*(f"s{i}" for i in range(8)), *OUTSIDE]
    assert "10 sources\n" in done("sources", "list")
    number = listed[2]["id"]
    old_name = listed[2]["name"]

    printed = done("sources", "move", "s2", "10:44:00.5", "-30:00:10", "--why", "better position")
    assert printed.startswith(f"source {number} is now CXOU J104400.50-300010.0")
    assert rows_of(finished, f"SELECT id, label FROM source WHERE name = '{old_name}'") == []
    done("sources", "rename", str(number), "Star [A]")
    assert "has the label 'Star [A]'" in done("sources", "rename", "Star [A]", "Star [A]")
    assert "Star [A]" in done("sources", "list")
    assert "0 failed" in done("run", "--workers", "1")
    done("sources", "remove", "J104400.50-300010.0", "--why", "hot pixel")
    assert rows_of(finished, f"SELECT COUNT(*) FROM extraction WHERE source_id = {number}") == [(0,)]
    assert rows_of(finished, f"SELECT COUNT(*) FROM catalog WHERE source_id = {number}") == [(0,)]
    done("run", "--workers", "1")
    assert "everything is up to date" in done("run")

    told = json.loads(done("sources", "history", "CXOU J104400.50-300010.0", "--json"))
    assert [row["action"] for row in told] == ["added", "moved", "renamed", "renamed", "removed"]
    assert [row["why"] for row in told] == [None, "better position", None, None, "hot pixel"]
    assert told[1]["new_value"].startswith("161.00208333 -30.0027")
    assert "hot pixel" in done("sources", "history")


def test_removed_source_can_be_added_again(done: Done, finished: Path, field: Field) -> None:
    before = rows_of(finished, "SELECT name, flux_aper_b, cnts_aper_b FROM catalog ORDER BY name, recipe")
    done("sources", "remove", "s1")
    assert "1 source added, 9 known already" in done("add", "sources", field.sources)
    done("run", "--workers", "1")
    after = rows_of(finished, "SELECT name, flux_aper_b, cnts_aper_b FROM catalog ORDER BY name, recipe")
    assert after == before


# Queries

QUERY = "SELECT name, source_id, flux_aper_b, cnts_aper_b FROM catalog WHERE recipe = 'default' ORDER BY ra"


def test_query_formats_agree(done: Done, finished: Path) -> None:
    expected = rows_of(finished, QUERY)
    assert len(expected) == 10
    by_json = json.loads(done("query", QUERY, "--format", "json"))
    assert [tuple(row.values()) for row in by_json] == expected
    assert list(by_json[0]) == ["name", "source_id", "flux_aper_b", "cnts_aper_b"]
    by_csv = list(csv.reader(io.StringIO(done("query", QUERY, "--format", "csv"))))
    assert by_csv == [list(by_json[0]), *([("" if v is None else str(v)) for v in row] for row in expected)]
    lines = done("query", QUERY).splitlines()
    assert lines[0].split() == list(by_json[0])
    assert lines[-1] == "10 rows"
    assert [line.split("  ")[0] for line in lines[1:-1]] == [row[0] for row in expected]
    assert "10 rows in a.fits" in done("query", QUERY, "--out", "a.fits")
    table = Table.read("a.fits")
    assert str(table["flux_aper_b"].unit) == "erg / (s cm2)"
    assert [None if v is None else v for v in table["cnts_aper_b"].tolist()] == [row[3] for row in expected]
    for name in ("a.json", "a.csv"):
        done("query", QUERY, "--out", name)
        assert Path(name).read_text() == done("query", QUERY, "--format", name[2:])


def test_query_keeps_text_as_it_is(done: Done, empty: Path) -> None:
    assert done("query", r"SELECT '[bold]a' AS x, '\[red]' AS y, ':z' AS w").splitlines()[1].split() == [
        "[bold]a",
        r"\[red]",
        ":z",
    ]
    told = json.loads(done("query", "SELECT 1 AS a, 2 AS a, NULL AS b, x'00ff' AS c", "--format", "json"))
    assert told == [{"a": 1, "a_2": 2, "b": None, "c": "<2 bytes>"}]
    assert done("query", "SELECT 1 AS n WHERE 0", "--format", "csv") == "n\n"
    done("query", "SELECT 1 AS n, 'x' AS t WHERE 0", "--out", "none.fits")
    assert len(Table.read("none.fits")) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["161", "-30", "12arcmin"],
        ["161.0 -30.0", "0.2deg"],
        ["10:44:00", "-30:00:00", "12'"],
        ["10 44 00", "-30 00 00", '720"'],
        ["10h44m00s", "-30d00m00s", "0.2deg"],
    ],
    ids=" ".join,
)
def test_cone(words: list[str], done: Done, finished: Path) -> None:
    found = json.loads(done("cone", *words, "--recipe", "default", "--format", "json"))
    assert len(found) == 8
    distance = [row["separation"] for row in found]
    assert distance == sorted(distance)
    assert distance[-1] < 720
    values = dict(rows_of(finished, "SELECT name, flux_aper_b FROM catalog WHERE recipe = 'default'"))
    assert {row["name"]: row["flux_aper_b"] for row in found}.items() <= values.items()
    assert done("cone", *words).splitlines()[-1] == "16 rows"


def test_cone_around_one_source(done: Done, finished: Path) -> None:
    ra, dec, name = rows_of(finished, "SELECT ra, dec, name FROM source WHERE label = 's3'")[0]
    found = json.loads(done("cone", ra, dec, "0.1arcsec", "--recipe", "srcflux", "--format", "json"))
    assert [(row["name"], row["recipe"]) for row in found] == [(name, "srcflux")]
    assert done("cone", ra, -dec, "1arcmin").splitlines()[-1] == "0 rows"
    assert "2 rows in c.fits" in done("cone", ra, dec, "1arcsec", "--out", "c.fits")
    assert list(Table.read("c.fits")["recipe"]) == ["default", "srcflux"]


def test_compare(done: Done, finished: Path) -> None:
    printed = done("compare", "default", "srcflux", "--plot", "both.png")
    assert "srcflux over default" in printed
    median = float(re.search(r"median ratio (\d+\.\d+)", printed)[1])
    rows = rows_of(
        finished,
        "SELECT b.photflux_aper_b / a.photflux_aper_b FROM catalog a JOIN catalog b USING (source_id) "
        "WHERE a.recipe = 'default' AND b.recipe = 'srcflux' AND a.photflux_aper_b > 0 ORDER BY 1",
    )
    ratios = [row[0] for row in rows]
    middle = (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2
    assert median == pytest.approx(middle, abs=1e-4)
    from matplotlib.image import imread

    assert imread("both.png")[..., :3].std() > 0.02
    assert "median ratio 1.0000" in done("compare", "default", "default")


# Export

SUFFIXES = ("fits", "fits.gz", "vot", "xml", "ecsv", "csv", "tex", "mrt", "reg", "parquet")


@pytest.mark.parametrize("table", ["catalog", "detections"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export(suffix: str, table: str, done: Done, finished: Path) -> None:
    from pyarrow.parquet import read_table

    before = content(finished)
    name = f"out.{suffix}"
    where = ["--where", "cnts_aper_b > 0" if table == "catalog" else "cnts_aper > 0 AND band = 'broad'"]
    (rows,) = rows_of(finished, f"SELECT COUNT(*) FROM {table} WHERE recipe = 'srcflux' AND {where[1]}")[0]
    assert 5 < rows < 10
    printed = done("export", name, "--table", table, "--recipe", "srcflux", *where)
    assert printed.startswith(f"{rows} rows, ")
    assert f" of {table} (recipe srcflux) in {name}" in printed
    text = Path(name).read_bytes()
    if suffix in ("tex", "mrt", "reg"):
        assert text.decode().count("CXOU J") >= rows
    elif suffix == "parquet":
        found = read_table(name)
        assert found.num_rows == rows
        assert set(found["recipe"].to_pylist()) == {"srcflux"}
    else:
        kinds = {"vot": "votable", "xml": "votable", "ecsv": "ascii.ecsv", "csv": "ascii.csv"}
        found = Table.read(name, format=kinds.get(suffix, "fits"))
        assert len(found) == rows
        assert set(found["recipe"].astype(str)) == {"srcflux"}
    assert content(finished) == before


def test_export_of_chosen_columns(done: Done, finished: Path) -> None:
    words = ["--columns", "name, flux_aper_b ,ra", "--recipe", "default"]
    for suffix in ("csv", "fits", "vot"):
        assert "10 rows, 3 columns of catalog" in done("export", f"a.{suffix}", *words)
    with Path("a.csv").open() as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    assert rows[0] == ["name", "flux_aper_b", "ra"]
    assert len(rows) == 11
    assert fits.getdata("a.fits", 1).names == rows[0]
    fields = votable.parse_single_table("a.vot").fields
    assert [field.name for field in fields] == rows[0]
    assert all(field.ucd and field.description for field in fields)
    assert "1 row, 1 column of" in done(
        "export", "one.csv", "--columns", "name", "--recipe", "default", "--where", "label = 's0'"
    )


def test_export_says_which_recipe_it_took(done: Done, finished: Path) -> None:
    assert "recipe default was taken; there are also srcflux" in done("export", "a.csv")
    assert "was taken" not in done("export", "a.csv", "--recipe", "default")


def test_export_of_nothing(done: Done, finished: Path) -> None:
    words = ["--recipe", "default", "--columns", "name,ra,dec,cnts_aper_b,flux_aper_b"]
    for suffix in SUFFIXES:
        assert "0 rows" in done("export", f"none.{suffix}", "--where", "ra < 0", *words)
        assert Path(f"none.{suffix}").exists()


# From the shell, on real files


def test_whole_path_on_a_real_observation(data_dir: Path, tmp_path: Path, done: Done) -> None:
    """Init, add, run, export; what computes is called as the installed command."""
    real = data_dir / "real" / "acis"
    where = ["--project", tmp_path / "real"]
    done("init", *where)
    for words in (["add", "observations", real / "acisf11831_repro_evt2.fits.gz"], ["run"]):
        if words == ["run"]:
            done("add", "sources", real / "csc2_11831.ecsv", *where)
        found = run_script(*words, *where)
        assert found.returncode == 0, found.stderr
        assert "Traceback" not in found.stderr
    assert ", 0 failed" in found.stdout
    done("export", "catalog.fits", *where)
    table = Table.read("catalog.fits")
    assert len(table) == len(Table.read(real / "csc2_11831.ecsv")) == 45
    assert (table["cnts_aper_b"].filled(0) > 10).sum() > 5
