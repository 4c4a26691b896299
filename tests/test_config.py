"""Settings: what a file may say, how it is refused, where its paths start."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from catalog.config import Settings, load_settings, project_dir, write_settings
from catalog.errors import ProjectError, SettingsError

FULL = """
[database]
url = "sqlite:///data/x.db"
[calibration]
provider = "files"
area_table = "area.ecsv"
rmf = "/abs/r.rmf"
caldb = "../caldb"
[spectrum]
nh = 1
photon_index = 2.0
[observation."04600"]
aspect = ["a1.fits", "sub/a2.fits"]
badpix = "bpix.fits"
exclude_times = [[1.0, 2.0], [5, 7.5]]
shift = [0.1, -0.2]
[observation.5341]
aspect = "one.fits"
[run]
workers = 3
scheduler = "tcp://host:8786"
[names]
prefix = "CXOC"
ra_digits = 1
dec_digits = 0
[sources]
match_tolerance = 1.5
"""


def write(folder: Path, text: str) -> Path:
    (folder / "srccat.toml").write_text(text, encoding="utf-8")
    return folder


def test_every_setting_is_read(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, FULL))
    calibration = settings.calibration
    assert settings.database_url == f"sqlite:///{tmp_path}/data/x.db"
    assert calibration.area_table == tmp_path / "area.ecsv"
    assert calibration.rmf == Path("/abs/r.rmf")
    assert calibration.caldb == tmp_path.parent / "caldb"
    assert (settings.spectrum.nh, settings.spectrum.photon_index) == (1.0, 2.0)
    observation = settings.for_observation("4600")
    assert observation.aspect == (tmp_path / "a1.fits", tmp_path / "sub/a2.fits")
    assert observation.badpix == tmp_path / "bpix.fits"
    assert observation.mask is None
    assert observation.exclude_times == ((1.0, 2.0), (5.0, 7.5))
    assert observation.shift == (0.1, -0.2)
    assert settings.for_observation(5341).aspect == (tmp_path / "one.fits",)
    assert (settings.run.workers, settings.run.scheduler) == (3, "tcp://host:8786")
    assert (settings.names.prefix, settings.names.ra_digits, settings.names.dec_digits) == ("CXOC", 1, 0)
    assert settings.sources.match_tolerance == 1.5


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ""))
    assert settings.database_url == f"sqlite:///{tmp_path}/srccat.db"
    assert settings.calibration.provider == "builtin"
    assert (settings.spectrum.nh, settings.spectrum.photon_index) == (0.0, 1.7)
    assert (settings.run.workers, settings.run.scheduler) == (None, None)
    assert (settings.names.prefix, settings.names.ra_digits, settings.names.dec_digits) == ("CXOU", 2, 1)
    assert settings.sources.match_tolerance == 0.5
    assert settings.for_observation("1").exclude_times == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[run]\nworker = 3", ["run.worker", "workers, scheduler"]),
        ("[runs]\nworkers = 3", ["runs", "database, calibration"]),
        ("[observation.4600]\nasol = 'a'", ["observation.4600.asol", "aspect, badpix"]),
        ("[run]\nworkers = 'many'", ["run.workers", "'many'"]),
        ("[run]\nworkers = 0", ["run.workers", "greater than or equal to 1"]),
        ("[run]\nworkers = true", ["run.workers", "True"]),
        ("[spectrum]\nnh = -1", ["spectrum.nh", "-1"]),
        ("[spectrum]\nnh = nan", ["spectrum.nh", "finite"]),
        ("[spectrum]\nnh = true", ["spectrum.nh"]),
        ("[sources]\nmatch_tolerance = 0", ["sources.match_tolerance"]),
        ("[names]\nra_digits = 12", ["names.ra_digits", "12"]),
        ("[names]\nprefix = 'A B'", ["names.prefix"]),
        ("[calibration]\nprovider = 'ciao'", ["calibration.provider", "builtin"]),
        ("[calibration]\nprovider = 'files'", ["area_table"]),
        ("[calibration]\nrmf = ''", ["calibration.rmf", "leave the key out"]),
        ("[calibration]\nrmf = 3", ["calibration.rmf", "path"]),
        ("[observation.m31]\nmask = 'a'", ["m31", "ObsID"]),
        ("[observation.4600]\n[observation.04600]\n", ["4600", "twice"]),
        ("[observation.4600]\nshift = [1]", ["shift", "two numbers"]),
        ("[observation.4600]\nshift = [1, 2, 3]", ["shift", "two numbers"]),
        ("[observation.4600]\nexclude_times = [[2, 1]]", ["exclude_times", "start before stop"]),
        ("[observation.4600]\nexclude_times = [1, 2]", ["exclude_times", "list"]),
        ("observation = 3", ["observation", "table"]),
        ("run = 3", ["run", "table"]),
        ("database = \n[run]", ["TOML", "line 1"]),
    ],
)
def test_what_is_not_allowed_is_named_on_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text))
    message = str(caught.value)
    for word in [*words, str(tmp_path / "srccat.toml")]:
        assert word in message, message
    assert "\n" not in message
    assert "pydantic" not in message


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"spectrum\.nh.*run\.workers"):
        load_settings(write(tmp_path, "[spectrum]\nnh = 'x'\n[run]\nworkers = 'y'"))


def test_binary_and_bom(tmp_path: Path) -> None:
    (tmp_path / "srccat.toml").write_bytes(b"\xef\xbb\xbf[run]\nworkers = 2\n")
    assert load_settings(tmp_path).run.workers == 2
    (tmp_path / "srccat.toml").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(SettingsError, match="not TOML"):
        load_settings(tmp_path)


def test_a_folder_without_settings_is_no_project(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ProjectError, match="srccat init") as caught:
            load_settings(folder)
        assert caught.value.code == "NO_PROJECT"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////abs/x.db",
        "sqlite:///file:x?uri=true",
    ],
)
def test_urls_without_a_relative_path_stay(tmp_path: Path, url: str) -> None:
    assert load_settings(write(tmp_path, f'[database]\nurl = "{url}"')).database_url == url


def test_options_of_a_relative_url_stay(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, '[database]\nurl = "sqlite:///x.db?timeout=5"'))
    assert settings.database_url == f"sqlite:///{tmp_path}/x.db?timeout=5"


def test_paths_start_at_the_project_not_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write(project, "[calibration]\nrmf = 'r.rmf'")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("project"))
    monkeypatch.chdir("/")
    assert settings.folder == project
    assert settings.calibration.rmf == project / "r.rmf"
    assert settings.resolve("a/../b") == project / "b"
    assert settings.resolve("/abs/c") == Path("/abs/c")
    assert settings.resolve("~/d") == Path.home() / "d"


def test_settings_are_frozen_and_picklable(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, FULL))
    copy = pickle.loads(pickle.dumps(settings))
    assert copy == settings
    assert copy.folder == tmp_path
    with pytest.raises(ValidationError):
        settings.run.workers = 5  # type: ignore[misc]


def test_project_dir_prefers_the_option_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRCCAT_PROJECT", "/somewhere")
    assert project_dir(Path("here")) == tmp_path / "here"
    assert project_dir() == Path("/somewhere")
    monkeypatch.setenv("SRCCAT_PROJECT", "")
    assert project_dir() == tmp_path
    monkeypatch.delenv("SRCCAT_PROJECT")
    assert project_dir() == tmp_path


def test_the_template_is_the_defaults(tmp_path: Path) -> None:
    path = write_settings(tmp_path / "new")
    assert path == tmp_path / "new" / "srccat.toml"
    loaded = load_settings(tmp_path / "new")
    assert loaded.model_dump() == Settings().model_dump()
    write(tmp_path / "new", "")
    assert load_settings(tmp_path / "new") == loaded


def test_the_commented_lines_of_the_template_are_valid_and_complete(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    text = re.sub(r"^# (?=\w+ = |\[)", "", path.read_text(), flags=re.M)
    settings = load_settings(write(tmp_path, text))
    assert settings.observation["4600"].shift == (0.12, -0.30)
    written = settings.model_dump(exclude_unset=True)
    for section, model in Settings().model_dump().items():
        if section != "observation":
            assert written[section].keys() == model.keys(), section
    assert written["observation"]["4600"].keys() == type(settings.observation["4600"]).model_fields.keys()
    defaults = Settings().model_dump()
    for section in ("spectrum", "names", "sources", "database"):
        given = {key: value for key, value in defaults[section].items() if value is not None}
        assert given.items() <= written[section].items()


def test_a_project_is_not_overwritten(tmp_path: Path) -> None:
    write_settings(tmp_path, "postgresql://host/db")
    with pytest.raises(ProjectError) as caught:
        write_settings(tmp_path)
    assert caught.value.code == "PROJECT_EXISTS"
    assert load_settings(tmp_path).database_url == "postgresql://host/db"


def test_a_file_in_the_way_and_a_bad_url_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ProjectError):
        write_settings(tmp_path / "file")
    with pytest.raises(SettingsError):
        write_settings(tmp_path / "other", 'a"b')
    assert not (tmp_path / "other").exists()
