"""Bad input: exit code 2, one line that says what, where and what to do, and an unchanged database."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from command_line import (
    DEC,
    OUTSIDE,
    RA,
    Done,
    Field,
    Outcome,
    Srccat,
    change,
    check_error,
    content,
    rows_of,
    run_script,
)

from catalog.errors import MissingFileError
from migrations import REVISIONS


def changed_events(field: Field, edit: Callable[[fits.HDUList], None], name: str) -> Path:
    """A copy of a good event list, spoilt."""
    path = Path(name).absolute()
    with fits.open(field.events()) as hdus:
        edit(hdus)
        hdus.writeto(path)
    return path


def keyword(name: str, value: object) -> Callable[[fits.HDUList], None]:
    def edit(hdus: fits.HDUList) -> None:
        for hdu in hdus:
            if name in hdu.header:
                hdu.header[name] = value

    return edit


def bad_grades(hdus: fits.HDUList) -> None:
    hdus["EVENTS"].data["grade"][::2] = 7
    keyword("CONTENT", "EVT1")(hdus)


def without_energy(hdus: fits.HDUList) -> None:
    table = hdus["EVENTS"]
    table.columns.del_col("energy")


def without_events(hdus: fits.HDUList) -> None:
    del hdus["EVENTS"]


def cut(field: Field, name: str, *, zipped: bool, share: float) -> Path:
    path = Path(name).absolute()
    whole = field.events().read_bytes()
    whole = whole if zipped else gzip.decompress(whole)
    path.write_bytes(whole[: int(share * len(whole))])
    return path


def written(name: str, text: str) -> Path:
    path = Path(name).absolute()
    path.write_text(text)
    return path


def folder(name: str) -> Path:
    path = Path(name).absolute()
    path.mkdir()
    return path


BAD_EVENTS: dict[str, tuple[str, Callable[[Field], object]]] = {
    "missing file": ("MISSING_FILE", lambda _: "acisf00001_evt2.fits"),
    "glob without match": ("MISSING_FILE", lambda _: "*.fits"),
    "folder without event list": ("NO_EVENT_FILES", lambda _: folder("nothing")),
    "text": ("NOT_FITS", lambda _: written("acisf00001_evt2.fits", "RA DEC\n1 2\n")),
    "empty file": ("NOT_FITS", lambda _: written("acisf00001_evt2.fits", "")),
    "truncated header": ("TRUNCATED_FITS", lambda f: cut(f, "a_evt2.fits", zipped=False, share=0.01)),
    "truncated": ("TRUNCATED_FITS", lambda f: cut(f, "a_evt2.fits", zipped=False, share=0.5)),
    "last block lost": ("TRUNCATED_FITS", lambda f: cut(f, "a_evt2.fits", zipped=False, share=0.997)),
    "truncated gzip": ("TRUNCATED_FITS", lambda f: cut(f, "a_evt2.fits.gz", zipped=True, share=0.5)),
    "level 1": ("LEVEL1", lambda f: changed_events(f, bad_grades, "acisf70101_evt1.fits")),
    "merged": ("MERGED_EVENTS", lambda f: changed_events(f, keyword("OBS_ID", "MERGED"), "m.fits")),
    "two ObsIDs": ("MERGED_EVENTS", lambda f: changed_events(f, keyword("OBS_ID", "1,2"), "m.fits")),
    "no events": ("NO_EVENTS_TABLE", lambda f: changed_events(f, without_events, "a_evt2.fits")),
    "no energy": ("NO_ENERGY", lambda f: changed_events(f, without_energy, "a_evt2.fits")),
    "HRC": ("UNSUPPORTED_HRC", lambda f: changed_events(f, keyword("INSTRUME", "HRC"), "h_evt2.fits")),
    "continuous clocking": (
        "UNSUPPORTED_CONTINUOUS",
        lambda f: changed_events(f, keyword("READMODE", "CONTINUOUS"), "c_evt2.fits"),
    ),
    "another telescope": (
        "NOT_CHANDRA",
        lambda f: changed_events(f, keyword("TELESCOP", "SWIFT"), "s_evt2.fits"),
    ),
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_bad_observation(case: str, srccat: Srccat, empty: Path, field: Field) -> None:
    code, make = BAD_EVENTS[case]
    path = make(field)
    before = content(empty)
    outcome = srccat("add", "observations", path)
    check_error(outcome, code)
    assert str(path) in outcome.err
    assert content(empty) == before


@pytest.mark.parametrize("case", ["text", "truncated", "no energy", "HRC", "merged"])
def test_bad_observation_beside_a_good_one(case: str, srccat: Srccat, empty: Path, field: Field) -> None:
    code, make = BAD_EVENTS[case]
    path = make(field)
    before = content(empty)
    check_error(srccat("add", "observations", field.events(1), path), code)
    assert content(empty) == before


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("chandra_noener_test.fits.gz", "NO_ENERGY"),
        ("hrc_evt2.fits.gz", "NO_GOOD_TIME"),
        ("structure_only_asol.fits.gz", "NO_EVENTS_TABLE"),
        ("acis_evt2.fits.gz", "NO_GOOD_TIME"),
    ],
)
def test_bad_real_file(name: str, code: str, srccat: Srccat, empty: Path, data_dir: Path) -> None:
    before = content(empty)
    check_error(srccat("add", "observations", data_dir / "real" / "acis" / name), code)
    assert content(empty) == before


def test_second_event_list_of_an_observation(
    srccat: Srccat, finished: Path, field: Field, done: Done
) -> None:
    other = changed_events(field, keyword("CREATOR", "someone else"), "acisf70101_repro_evt2.fits")
    before = content(finished)
    check_error(srccat("add", "observations", other), "OBSERVATION_EXISTS")
    check_error(srccat("add", "observations", other, field.events(1)), "OBSERVATION_EXISTS")
    check_error(srccat("add", "observations", other, field.events(), "--replace"), "DUPLICATE_OBSERVATION")
    assert content(finished) == before
    assert "1 replaced" in done("add", "observations", other, "--replace")
    assert content(finished) != before


BAD_SOURCES: dict[str, tuple[str, Callable[[], object]]] = {
    "missing file": ("MISSING_FILE", lambda: "nothere.csv"),
    "folder": ("UNREADABLE_TABLE", lambda: folder("nothing")),
    "empty file": ("EMPTY_TABLE", lambda: written("a.csv", "")),
    "no rows": ("EMPTY_TABLE", lambda: written("a.csv", "name,ra,dec\n")),
    "no coordinates": ("NO_COORDINATES", lambda: written("a.csv", "name,flux\na,1\n")),
    "only one coordinate": ("NO_COORDINATES", lambda: written("a.csv", "name,ra,flux\na,1,1\n")),
    "no head": ("UNREADABLE_TABLE", lambda: written("a.csv", "a,10,20\n")),
    "ragged": ("UNREADABLE_TABLE", lambda: written("a.csv", "name,ra,dec\na,10\n")),
    "RA 400": ("COORDINATE_RANGE", lambda: written("a.csv", "name,ra,dec\na,10,20\nb,400,20\n")),
    "Dec 95": ("COORDINATE_RANGE", lambda: written("a.csv", "name,ra,dec\na,10,95\n")),
    "text": ("COORDINATE_TEXT", lambda: written("a.csv", "name,ra,dec\na,10,20\nb,n/a?,20\n")),
    "NaN": ("COORDINATE_MISSING", lambda: written("a.csv", "name,ra,dec\na,10,20\nb,nan,20\n")),
    "blank": ("COORDINATE_MISSING", lambda: written("a.csv", "name,ra,dec\na,10,20\nb,10,\n")),
    "NaN in FITS": ("COORDINATE_MISSING", lambda: fits_list([10.0, np.nan])),
    "infinity in FITS": ("COORDINATE_RANGE", lambda: fits_list([10.0, np.inf])),
    "FITS without table": ("UNREADABLE_TABLE", lambda: fits_image()),
    "pixels of ds9": ("PIXEL_REGIONS", lambda: written("a.reg", "image\ncircle(10,20,3)\n")),
    "position beyond the sky": ("COORDINATE_RANGE", lambda: "10 95"),
    "no position": ("COORDINATE_TEXT", lambda: "10 20 30"),
    "misspelt option": ("USAGE", lambda: "--raa"),
}


def fits_list(ra: list[float]) -> Path:
    path = Path("a.fits").absolute()
    Table({"RA": ra, "DEC": [1.0] * len(ra)}).write(path)
    return path


def fits_image() -> Path:
    path = Path("a.fits").absolute()
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(path)
    return path


@pytest.mark.parametrize("case", BAD_SOURCES)
def test_bad_source_list(case: str, srccat: Srccat, empty: Path) -> None:
    code, make = BAD_SOURCES[case]
    given = make()
    before = content(empty)
    check_error(srccat("add", "sources", given), code)
    assert content(empty) == before


def test_named_columns_that_are_not_there(srccat: Srccat, empty: Path, field: Field) -> None:
    before = content(empty)
    outcome = srccat("add", "sources", field.sources, "--ra", "RAJ2000", "--dec", "dec")
    check_error(outcome, "UNKNOWN_NAME")
    assert "name, ra, dec" in outcome.err
    check_error(srccat("add", "sources", field.sources, "--ra", "ra"), "NO_COORDINATES")
    check_error(srccat("add", "sources", field.sources, "--name", "nome"), "UNKNOWN_NAME")
    assert content(empty) == before


def test_sources_outside_the_field_are_no_error(srccat: Srccat, finished: Path) -> None:
    outcome = srccat("add", "sources", f"{RA + 3} {DEC}")
    assert outcome.code == 0
    outcome = srccat("run", "--workers", "1")
    assert outcome.code == 0
    assert "0 failed" in outcome.out
    told = rows_of(finished, "SELECT label, n_obs, flags, src_cnts_aper_b FROM catalog WHERE flags & 1")
    assert {row[0] for row in told} == {*OUTSIDE, None}
    assert {row[1:] for row in told} == {(0, 1, None)}


def new(name: str) -> str:
    return str(Path(name).absolute())


BAD_WORDS: dict[str, tuple[str, list[str]]] = {
    "init: unknown recipe": ("UNKNOWN_RECIPE", ["init", "new", "--recipe", "nope"]),
    "init: no URL": ("PROJECT", ["init", "new", "--database", "catalog.db"]),
    "init: unknown engine": ("PROJECT", ["init", "new", "--database", "mysql://host/name"]),
    "init: database in a folder that is not there": ("NO_DATABASE", ["init", "new", "--database", "sqlite:////no/a.db"]),
    "init: no server": ("NO_SERVER", ["init", "new", "--database", "postgresql://me:secret@localhost:1/x"]),
    "init: project there": ("PROJECT", ["init"]),
    "run: unknown recipe": ("UNKNOWN_RECIPE", ["run", "--recipe", "nope"]),
    "run: unknown stage": ("UNKNOWN_STAGE", ["run", "extrct"]),
    "run: no worker": ("USAGE", ["run", "--workers", "0"]),
    "add: unknown role": ("UNKNOWN_ROLE", ["add", "observations", ".", "--role", "fun"]),
    "export: unknown recipe": ("UNKNOWN_RECIPE", ["export", "a.fits", "--recipe", "nope"]),
    "export: unknown format": ("UNKNOWN_FORMAT", ["export", "a.xls"]),
    "export: no suffix": ("UNKNOWN_FORMAT", ["export", "catalog"]),
    "export: unknown table": ("UNKNOWN_TABLE", ["export", "a.fits", "--table", "sources"]),
    "export: unknown style": ("UNKNOWN_STYLE", ["export", "out", "--style", "ciao"]),
    "export: one file of many": ("SEVERAL_FILES", ["export", "x.fits", "--style", "srcflux"]),
    "export: a file for a folder": ("SEVERAL_FILES", ["export", "X.CSV", "--style", "acis-extract"]),
    "export: columns of a style": ("SETTINGS", ["export", "out", "--style", "srcflux", "--columns", "ra"]),
    "limits: text": ("COORDINATE_TEXT", ["limits", "abc", "def"]),
    "limits: beyond the sky": ("COORDINATE_RANGE", ["limits", "83", "-95"]),
    "export: no such folder": ("MISSING_FILE", ["export", "nowhere/a.fits"]),
    "export: unknown column": ("UNKNOWN_COLUMN", ["export", "a.fits", "--columns", "name,flux"]),
    "export: no column": ("SETTINGS", ["export", "a.fits", "--columns", ","]),
    "where: unknown column": ("UNKNOWN_COLUMN", ["export", "a.fits", "--where", "flux_b > 1"]),
    "where: unknown quoted column": ("UNKNOWN_COLUMN", ["export", "a.fits", "--where", '"flux_b" > 1']),
    "where: column of another view": ("UNKNOWN_COLUMN", ["export", "a.fits", "--where", "obs_id = '1'"]),
    "where: syntax": ("BAD_WHERE", ["export", "a.fits", "--where", "ra >> > 3"]),
    "where: empty": ("BAD_WHERE", ["export", "a.fits", "--where", " "]),
    "where: two statements": ("BAD_WHERE", ["export", "a.fits", "--where", "1; DELETE FROM source"]),
    "where: comment": ("BAD_WHERE", ["export", "a.fits", "--where", "1) -- "]),
    "where: closes the parenthesis": ("BAD_WHERE", ["export", "a.fits", "--where", "1) OR (1"]),
    "where: unknown function": ("BAD_WHERE", ["export", "a.fits", "--where", "frobnicate(ra) > 1"]),
    "query: deletes": ("QUERY", ["query", "DELETE FROM source"]),
    "query: deletes in a WITH": ("QUERY", ["query", "WITH x AS (SELECT 1) DELETE FROM source"]),
    "query: drops": ("QUERY", ["query", "DROP VIEW catalog"]),
    "query: pragma": ("QUERY", ["query", "PRAGMA user_version = 7"]),
    "query: two statements": ("QUERY", ["query", "SELECT 1; DELETE FROM source"]),
    "query: syntax": ("QUERY", ["query", "SELEC name FROM catalog"]),
    "query: unknown column": ("QUERY", ["query", "SELECT flux FROM catalog"]),
    "query: empty": ("QUERY", ["query", ""]),
    "query: unknown format": ("UNKNOWN_FORMAT", ["query", "SELECT 1", "--format", "xml"]),
    "query: unknown suffix": ("UNKNOWN_FORMAT", ["query", "SELECT 1", "--out", "a.xml"]),
    "query: FITS on the screen": ("UNKNOWN_FORMAT", ["query", "SELECT 1", "--format", "fits"]),
    "query: table in a file": ("UNKNOWN_FORMAT", ["query", "SELECT 1", "--format=table", "--out=a.csv"]),
    "query: no such folder": ("MISSING_FILE", ["query", "SELECT 1", "--out", "nowhere/a.csv"]),
    "query: no such folder for FITS": ("MISSING_FILE", ["query", "SELECT 1", "--out", "nowhere/a.fits"]),
    "query: a folder": ("PROJECT", ["query", "SELECT 1", "--format", "csv", "--out", "."]),
    "cone: no unit": ("RADIUS_UNIT", ["cone", "10", "20", "30"]),
    "cone: no radius": ("COORDINATE_TEXT", ["cone", "10", "20arcsec"]),
    "cone: nothing but a radius": ("SETTINGS", ["cone", "20arcsec"]),
    "cone: beyond the sky": ("COORDINATE_RANGE", ["cone", "10", "-95", "20arcsec"]),
    "cone: negative radius": ("RADIUS_RANGE", ["cone", "10", "20", "-5arcsec"]),
    "cone: unknown recipe": ("UNKNOWN_RECIPE", ["cone", "161", "-30", "20arcmin", "--recipe", "nope"]),
    "cone: misspelt option": ("USAGE", ["cone", "161", "-30", "20arcmin", "--recipes", "default"]),
    "compare: unknown recipe": ("UNKNOWN_RECIPE", ["compare", "default", "nope"]),
    "compare: unknown first recipe": ("UNKNOWN_RECIPE", ["compare", "nope", "default"]),
    "compare: one recipe": ("USAGE", ["compare", "default"]),
    "compare: unknown picture": ("UNKNOWN_FORMAT", ["compare", "default", "srcflux", "--plot", "a.xls"]),
    "compare: no such folder": ("MISSING_FILE", ["compare", "default", "srcflux", "--plot", "nowhere/a.png"]),
    "flags: text": ("FLAG_VALUE", ["flags", "explain", "near_edge"]),
    "flags: unknown bit": ("FLAG_VALUE", ["flags", "explain", str(1 << 60)]),
    "recipe: unknown": ("UNKNOWN_RECIPE", ["recipe", "show", "nope"]),
    "recipe: unknown in diff": ("UNKNOWN_RECIPE", ["recipe", "diff", "default", "nope"]),
    "recipe: missing file": ("MISSING_FILE", ["recipe", "add", "nope.toml"]),
    "recipe: folder": ("RECIPE_FILE", ["recipe", "add", "."]),
    "sources: unknown": ("UNKNOWN_SOURCE", ["sources", "move", "nope", "10", "20"]),
    "sources: unknown to remove": ("UNKNOWN_SOURCE", ["sources", "remove", "999"]),
    "sources: unknown history": ("UNKNOWN_SOURCE", ["sources", "history", "nope"]),
    "sources: bad position": ("COORDINATE_RANGE", ["sources", "move", "s1", "10", "95"]),
    "sources: misspelt option": ("USAGE", ["sources", "move", "s1", "10", "20", "--because", "x"]),
    "sources: place taken": ("SETTINGS", ["sources", "move", "s1", str(RA), str(DEC + 2)]),
    "sources: empty label": ("SETTINGS", ["sources", "rename", "s1", " "]),
    "demo: another project": ("PROJECT", ["demo", "PROJECT"]),
    "unknown command": ("USAGE", ["measure"]),
    "unknown command of a group": ("USAGE", ["sources", "delete"]),
    "unknown option": ("USAGE", ["status", "--verbose"]),
    "too many words": ("USAGE", ["status", "now"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_WORDS)
def test_bad_words(case: str, srccat: Srccat, finished: Path) -> None:
    code, words = BAD_WORDS[case]
    before, around = content(finished), sorted(Path.cwd().iterdir())
    outcome = srccat(*(word.replace("PROJECT", str(finished)) for word in words))
    check_error(outcome, code)
    assert "secret" not in outcome.err
    assert content(finished) == before
    left = [path for path in sorted(Path.cwd().iterdir()) if path not in around]
    # A folder may be made before its database turns out to be out of reach; never a project.
    assert not [path for path in left if path.is_file() or any(path.iterdir())]


EVERY_COMMAND = (
    ["status"],
    ["run"],
    ["run", "--dry-run"],
    ["add", "sources", "10 20"],
    ["add", "observations", "EVENTS"],
    ["sources", "list"],
    ["sources", "history"],
    ["sources", "move", "1", "10", "20"],
    ["sources", "rename", "1", "x"],
    ["sources", "remove", "1"],
    ["export", "a.fits"],
    ["query", "SELECT 1"],
    ["cone", "10", "20", "1deg"],
    ["compare", "default", "srcflux"],
    ["recipe", "list"],
    ["recipe", "add", "srcflux"],
    ["doctor"],
    ["db", "check"],
    ["db", "upgrade"],
)


def check_everywhere(
    srccat: Srccat, project: Path, field: Field, code: str, *, spare: tuple[str, ...] = ()
) -> None:
    """No command works with a project, nor changes it."""
    before = content(project)
    for words in EVERY_COMMAND:
        if " ".join(words) not in spare:
            named = [str(field.events(1)) if word == "EVENTS" else word for word in words]
            check_error(srccat(*named, "--project", project), code)
            assert content(project) == before, words
    assert not list(Path.cwd().iterdir())


def test_no_project(srccat: Srccat, tmp_path: Path, field: Field) -> None:
    (tmp_path / "bare").mkdir()
    check_everywhere(srccat, tmp_path / "bare", field, "NO_PROJECT")
    check_error(srccat("status"), "NO_PROJECT")
    check_error(srccat("status", "--project", tmp_path / "nowhere"), "NO_PROJECT")


def test_newer_schema(srccat: Srccat, finished: Path, field: Field) -> None:
    change(finished, "UPDATE alembic_version SET version_num = '9999'")
    check_everywhere(srccat, finished, field, "SCHEMA_NEWER")


def test_older_schema(srccat: Srccat, finished: Path, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    # A later srccat is one that knows another revision.
    monkeypatch.setattr("catalog.store.schema_version.REVISIONS", (*REVISIONS, "zzzz"))
    check_everywhere(srccat, finished, field, "SCHEMA_OLDER", spare=("db upgrade",))
    assert "run `srccat db upgrade`" in srccat("status").err


def test_missing_database(srccat: Srccat, finished: Path, field: Field) -> None:
    (finished / "srccat.db").unlink()
    check_everywhere(srccat, finished, field, "PROJECT")


def test_empty_database_file(srccat: Srccat, finished: Path, field: Field) -> None:
    (finished / "srccat.db").write_bytes(b"")
    check_everywhere(srccat, finished, field, "NO_CATALOG")


def test_file_that_is_no_database(srccat: Srccat, finished: Path, field: Field) -> None:
    (finished / "srccat.db").write_bytes(b"\x07 no database \x00" * 1000)
    check_everywhere(srccat, finished, field, "NOT_A_DATABASE")


def test_cut_database_file(srccat: Srccat, finished: Path, field: Field) -> None:
    os.truncate(finished / "srccat.db", 20_000)
    check_everywhere(srccat, finished, field, "DAMAGED")


BAD_SETTINGS = {
    "syntax": "[calibration\n",
    "unknown table": "[photometry]\nbands = 3\n",
    "unknown key": "[run]\nworker = 3\n",
    "wrong type": '[run]\nworkers = "three"\n',
    "unknown key of an observation": '[observation."4600"]\naspec = "a.fits"\n',
    "no ObsID": '[observation.Orion]\ngti = "a.fits"\n',
    "impossible value": "[sources]\nmatch_tolerance = -1.0\n",
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings(case: str, srccat: Srccat, finished: Path) -> None:
    with (finished / "srccat.toml").open("a") as file:
        # Tables of the template are open already, save those that are new.
        file.write(BAD_SETTINGS[case])
    text = (finished / "srccat.toml").read_text()
    if case in ("unknown key", "wrong type", "impossible value"):
        table, key = BAD_SETTINGS[case].split("\n", 1)
        text = text.removesuffix(BAD_SETTINGS[case]).replace(f"{table}\n", f"{table}\n{key}", 1)
        (finished / "srccat.toml").write_text(text)
    before = content(finished)
    for words in (["status"], ["run"], ["add", "sources", "10 20"], ["export", "a.csv"], ["db", "upgrade"]):
        check_error(srccat(*words), "SETTINGS")
    assert content(finished) == before
    assert str(finished / "srccat.toml") in srccat("status").err


BAD_RECIPES = {
    "syntax": ("RECIPE_FILE", 'name = "mine\n'),
    "no name": ("SETTINGS", 'inherits = "default"\n'),
    "unknown parent": ("UNKNOWN_RECIPE", 'name = "mine"\ninherits = "nope"\n'),
    "unknown key": ("SETTINGS", 'name = "mine"\n[apperture]\nfraction = 0.8\n'),
    "impossible value": ("SETTINGS", 'name = "mine"\nconfidence = 1.5\n'),
    "text for a number": ("SETTINGS", 'name = "mine"\nconfidence = "much"\n'),
    "unknown band": ("SETTINGS", 'name = "mine"\nbands = ["brood"]\n'),
    "no band": ("SETTINGS", 'name = "mine"\nbands = []\n'),
    "CSC name, other limits": ("SETTINGS", 'name = "mine"\nbands = ["broad=0.5:8:2.3"]\n'),
    "own name, other limits": ("SETTINGS", 'name = "mine"\nbands = ["lines=1:3:2"]\n'),
    "upside down": ("SETTINGS", 'name = "mine"\nbands = ["x=3:1:2"]\n'),
}


@pytest.mark.parametrize("case", BAD_RECIPES)
def test_bad_recipe(case: str, srccat: Srccat, finished: Path, done: Done) -> None:
    written("lines.toml", 'name = "other"\nbands = ["lines=1:2:1.5"]\n')
    done("recipe", "add", "lines.toml")
    code, text = BAD_RECIPES[case]
    before = content(finished)
    check_error(srccat("recipe", "add", written("mine.toml", text)), code)
    assert content(finished) == before


AS_NOBODY = """
import contextlib, importlib, io, json, os, pkgutil, sys
import catalog, cli
from cli.main import main

def call(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()

first, later = json.load(sys.stdin)
# What is loaded late is loaded while it may be read: the folder of the project may be its owner's alone.
for package in (catalog, cli):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
rehearsed = [call(words) for words in first]
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
json.dump([rehearsed, [call(words) for words in later]], sys.stdout)
"""


def as_nobody(first: Sequence[Sequence[object]], later: Sequence[Sequence[object]]) -> list[Outcome]:
    """Call command lines in another process, the later ones as a user without rights where we are root."""
    lines = [[[str(word) for word in words] for words in block] for block in (first, later)]
    command = [sys.executable, "-c", AS_NOBODY]
    found = subprocess.run(
        command, input=json.dumps(lines), capture_output=True, text=True, timeout=110, check=False
    )
    assert found.returncode == 0, found.stderr
    rehearsed, results = json.loads(found.stdout)
    assert [result[0] for result in rehearsed] == [0] * len(first), rehearsed
    return [Outcome(*result) for result in results]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those that pytest makes."""
    folder = Path(tempfile.mkdtemp(prefix="srccat-cli-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def test_what_cannot_be_written_or_read(finished: Path, open_folder: Path) -> None:
    project = shutil.copytree(finished, open_folder / "project")
    locked, secret = open_folder / "locked", open_folder / "secret"
    for path in (locked, secret):
        path.mkdir()
    shutil.copytree(finished, secret / "project")
    for path, mode in ((project, 0o555), (locked, 0o555), (secret, 0o700 if os.getuid() == 0 else 0)):
        path.chmod(mode)
    for path in project.iterdir():
        path.chmod(0o444)
    before = content(project)
    rehearsal = [
        ["run", "--dry-run", "--project", finished],
        ["add", "sources", "10 20", "--project", finished],
        ["recipe", "add", "srcflux", "--project", finished],
        ["query", "SELECT 1 AS n", "--out", "a.csv", "--project", finished],
        ["export", "a.csv", "--project", finished],
        ["init", "another"],
        ["demo", "--help"],
    ]
    refused = [
        ["add", "sources", "10 20", "--project", project],
        ["sources", "rename", "s1", "x", "--project", project],
        ["recipe", "add", "srcflux", "--project", project],
        ["init", locked],
        ["init", locked / "inner"],
        ["export", locked / "a.csv", "--project", project],
        ["query", "SELECT 1 AS n", "--out", locked / "a.csv", "--project", project],
    ]
    hidden = [["status", "--project", secret / "project"], ["init", secret / "inner"]]
    looking = ["query", "SELECT COUNT(*) AS n FROM catalog", "--format", "csv", "--project", project]
    results = as_nobody(rehearsal, [*refused, *hidden, looking])
    for outcome in results[: len(refused)]:
        check_error(outcome, "PROJECT")
    for outcome in results[-3:-1]:
        check_error(outcome, "SYSTEM")
    assert results[-1] == Outcome(0, "n\n20\n", "")
    assert content(project) == before
    assert not list(locked.iterdir())


def test_demo_in_a_folder_that_cannot_be_written(srccat: Srccat, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/locked/data")

    monkeypatch.setattr("catalog.export.demo.write_demo", refuse)
    check_error(srccat("demo", "locked"), "PROJECT")
    assert not list(Path.cwd().iterdir())


def test_debug_shows_the_traceback(srccat: Srccat, empty: Path) -> None:
    for words in (
        ["--debug", "add", "observations", "no.fits"],
        ["add", "observations", "no.fits", "--debug"],
    ):
        with pytest.raises(MissingFileError):
            srccat(*words)
    shown = run_script("flags", "explain", "x", "--debug")
    assert shown.returncode == 1
    assert shown.stderr.startswith("Traceback")
    assert "\ncatalog.errors.SettingsError: not a flag value: x" in shown.stderr
    quiet = run_script("flags", "explain", "x")
    check_error(Outcome(quiet.returncode, quiet.stdout, quiet.stderr), "FLAG_VALUE")


def test_interruption_keeps_what_was_finished(
    srccat: Srccat, finished: Path, field: Field, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("add", "observations", field.events(1))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("catalog.stages.steps.photometry._on_chip", stop)
        outcome = srccat("run", "--workers", "1")
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in outcome.err
    assert rows_of(finished, "SELECT state FROM run ORDER BY id DESC LIMIT 1") == [("failed",)]
    goes_on = done("run", "--workers", "1")
    assert "0 failed" in goes_on
    # Apertures and counts of the first recipe were there already.
    computed = {tuple(line.split()[:2]) for line in goes_on.splitlines()}
    assert {("extract", "srcflux"), ("photometry", "default")} <= computed
    assert ("extract", "default") not in computed
    assert "everything is up to date" in done("run")


def test_no_rights_needed_to_look(done: Done, finished: Path) -> None:
    """Looking changes nothing, not even the file of the database."""
    before = (finished / "srccat.db").read_bytes()
    for words in (["status"], ["sources", "list"], ["query", "SELECT 1"], ["doctor"], ["db", "check"]):
        done(*words)
    assert (finished / "srccat.db").read_bytes() == before
