"""Settings of a project: the file ``srccat.toml`` in its folder.

Unknown keys are refused, so that a misspelt one is never ignored. Relative paths in the file are relative to
the project folder; once loaded, all paths are absolute.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from catalog.errors import ProjectError, SettingsError

SETTINGS_FILE = "srccat.toml"
DEFAULT_DATABASE = "sqlite:///srccat.db"


def _absolute(path: Path, folder: Path) -> Path:
    return Path(os.path.normpath(folder / path.expanduser()))


def _to_path(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("a path is not empty; leave the key out for none")
    return Path(value) if isinstance(value, str) else value


def _resolve_in_context(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else _absolute(path, folder)


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else _to_tuple(value)


SettingsPath = Annotated[Path, BeforeValidator(_to_path), AfterValidator(_resolve_in_context)]
Interval = Annotated[tuple[float, float], BeforeValidator(_to_tuple)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DatabaseSettings(_Section):
    """``[database]``: where the catalog lives."""

    url: Annotated[str, Field(min_length=1)] = DEFAULT_DATABASE


class CalibrationSettings(_Section):
    """``[calibration]``: which calibration, and the user's files in place of its parts.

    `psf_blur` is the blur of event positions (sigma in arcsec) in place of that of the kind of data.
    """

    provider: Literal["builtin", "files", "caldb"] = "builtin"
    area_table: SettingsPath | None = None
    rmf: SettingsPath | None = None
    caldb: SettingsPath | None = None
    psf_blur: Annotated[float, Field(ge=0, le=5)] | None = None


class SpectrumSettings(_Section):
    """``[spectrum]``: the reference spectrum, an absorbed power law; `nh` in 1e22 cm-2.

    `nh_table` gives the nH of model fluxes source by source: a table with the columns ra, dec (degrees) and
    nh; a source that is not in it has `nh`. `table_model` is an OGIP table of spectra for thermal fits.
    """

    nh: Annotated[float, Field(ge=0)] = 0.0
    nh_table: SettingsPath | None = None
    photon_index: float = 1.7
    table_model: SettingsPath | None = None


class SourceFiles(_Section):
    """``[observation."4600".source."NAME"]``: files of one source in one ObsID, by its name or its label."""

    arf: SettingsPath | None = None
    rmf: SettingsPath | None = None
    psf: SettingsPath | None = None


class ObservationSettings(_Section):
    """``[observation."4600"]``: files and corrections of one ObsID, in place of what is found.

    `exclude_times` are [start, stop] in seconds of mission time; `shift` is (dx, dy) in arcsec; `expmap` are
    exposure maps by name of the band.
    `source` holds files of single sources by name.
    """

    aspect: Annotated[tuple[SettingsPath, ...], BeforeValidator(_one_or_more)] | None = None
    badpix: SettingsPath | None = None
    mask: SettingsPath | None = None
    dtf: SettingsPath | None = None
    fov: SettingsPath | None = None
    gti: SettingsPath | None = None
    exclude_times: Annotated[tuple[Interval, ...], BeforeValidator(_to_tuple)] = ()
    shift: Interval | None = None
    area_table: SettingsPath | None = None
    expmap: dict[str, SettingsPath] = Field(default_factory=dict)
    arf: SettingsPath | None = None
    rmf: SettingsPath | None = None
    source: dict[str, SourceFiles] = Field(default_factory=dict)

    @field_validator("expmap", mode="before")
    @classmethod
    def _by_band(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError('a map belongs to a band: write expmap = {broad = "FILE"}')
        return value

    @field_validator("exclude_times")
    @classmethod
    def _ordered(cls, intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
        for start, stop in intervals:
            if not start < stop:
                raise ValueError(
                    f"an interval is [start, stop] with start before stop, got [{start}, {stop}]"
                )
        return intervals


class RunSettings(_Section):
    """``[run]``: number of worker processes (None for all cores) and address of a Dask scheduler."""

    workers: Annotated[int, Field(ge=1)] | None = None
    scheduler: Annotated[str, Field(min_length=1)] | None = None


class NameSettings(_Section):
    """``[names]``: acronym of source names, decimals of the seconds of time and of arc."""

    prefix: Annotated[str, Field(pattern=r"^\S+$")] = "CXOU"
    ra_digits: Annotated[int, Field(ge=0, le=9)] = 2
    dec_digits: Annotated[int, Field(ge=0, le=9)] = 1


class SourceSettings(_Section):
    """``[sources]``: distance (arcsec) within which an added position is a source that is there already."""

    match_tolerance: Annotated[float, Field(gt=0)] = 0.5


class Settings(_Section):
    """All settings of a project; every part has defaults.

    `observation` is keyed by ObsID without leading zeros.
    """

    database: DatabaseSettings = DatabaseSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    spectrum: SpectrumSettings = SpectrumSettings()
    observation: dict[str, ObservationSettings] = Field(default_factory=dict)
    run: RunSettings = RunSettings()
    names: NameSettings = NameSettings()
    sources: SourceSettings = SourceSettings()
    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @field_validator("observation", mode="before")
    @classmethod
    def _plain_obs_ids(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        plain: dict[str, Any] = {}
        for key, entry in value.items():
            if not (key.isascii() and key.isdigit()):
                raise ValueError(f'{key!r} is no ObsID; write [observation."4600"]')
            if plain.setdefault(key.lstrip("0") or "0", entry) is not entry:
                raise ValueError(f"ObsID {int(key)} is there twice")
        return plain

    @model_validator(mode="after")
    def _provider_has_its_files(self) -> Settings:
        if self.calibration.provider == "files" and self.calibration.area_table is None:
            raise ValueError('calibration provider "files" needs area_table')
        return self

    @property
    def folder(self) -> Path:
        """The project folder, absolute."""
        return self._folder

    @property
    def database_url(self) -> str:
        """URL of the database; the path of an SQLite file is absolute."""
        head, mark, rest = self.database.url.partition(":///")
        name, question, options = rest.partition("?")
        if not head.startswith("sqlite") or not mark or name in {"", ":memory:"} or name.startswith("file:"):
            return self.database.url
        return f"{head}:///{self.resolve(name).as_posix()}{question}{options}"

    def resolve(self, path: str | Path) -> Path:
        """Return `path` as an absolute path; a relative one starts at the project folder."""
        return _absolute(Path(path), self._folder)

    def for_observation(self, obs_id: str | int) -> ObservationSettings:
        """Return the settings of an ObsID, the defaults when the file has none for it."""
        return self.observation.get(str(obs_id).lstrip("0") or "0", ObservationSettings())


def project_dir(option: Path | None = None) -> Path:
    """Return the project folder, absolute: the option, else $SRCCAT_PROJECT, else the current folder."""
    chosen = option if option is not None else Path(os.environ.get("SRCCAT_PROJECT") or ".")
    return Path(os.path.abspath(chosen.expanduser()))


def load_settings(project_dir: Path) -> Settings:
    """Return the settings of a project.

    Parameters
    ----------
    project_dir
        Folder with ``srccat.toml``.

    Raises
    ------
    ProjectError
        NO_PROJECT when the folder has no such file.
    SettingsError
        When the file is not TOML, or a key or value is not allowed; the message names file, key and remedy.
    """
    folder = Path(os.path.abspath(project_dir))
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise ProjectError(f"no {SETTINGS_FILE} here", folder, "run `srccat init`", code="NO_PROJECT")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"not TOML ({error})", path, "correct the line") from error
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", path, "check its permissions") from error
    try:
        settings = Settings.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        raise _settings_error(error, path) from error
    settings._folder = folder
    return settings


def _section_of(location: tuple[int | str, ...]) -> type[BaseModel]:
    """Model of the table in which a key lies."""
    model: type[BaseModel] = Settings
    if location[:1] == ("observation",):
        return ObservationSettings if len(location) > 2 else Settings
    if len(location) > 1 and location[0] in Settings.model_fields:
        annotation = Settings.model_fields[str(location[0])].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return model


_PLAIN_WORDS = {
    "extra_forbidden": "is no key",
    "tuple_type": "give a list",
    "dict_type": "is a table, not a value",
    "model_type": "is a table, not a value",
    "missing": "give two numbers",
    "too_long": "give two numbers",
    "is_instance_of": "give a path as text",
}
"""What pydantic's error types mean to someone who writes TOML."""


def _settings_error(error: ValidationError, path: Path) -> SettingsError:
    """One line for all that pydantic found: key, complaint and value of each."""
    complaints, todo = [], "correct the file"
    for found in error.errors(include_url=False):
        location = found["loc"]
        if found["type"] == "extra_forbidden":
            allowed = ", ".join(_section_of(location).model_fields)
            todo = f"the keys there are {allowed}"
        key = ".".join(str(part) for part in location)
        message = _PLAIN_WORDS.get(found["type"], found["msg"].removeprefix("Value error, "))
        if key and found["type"] != "extra_forbidden":
            message += f" (got {found['input']!r})"
        complaints.append(f"{key}: {message}" if key else message)
    return SettingsError("; ".join(dict.fromkeys(complaints)), path, todo)


_TEMPLATE = """\
# Settings of this srccat project. Lines that begin with # show the defaults or examples.
# Relative paths start at this folder.

[database]
url = "{url}"

[calibration]
# provider = "builtin"          # builtin, files or caldb
# area_table = "area.ecsv"      # effective area of your own
# rmf = "response.rmf"          # redistribution of your own
# caldb = "/path/to/caldb"
# psf_blur = 0.2                # arcsec; by kind of data when left out

[spectrum]
# Reference spectrum of band-averaged areas: absorbed power law.
# nh = 0.0                      # 1e22 cm-2
# nh_table = "nh.csv"           # ra, dec, nh of sources, for model fluxes and fits
# table_model = "apec.fits"     # OGIP table model, for fits of thermal spectra
# photon_index = 1.7

[run]
# workers = 4                   # all cores when left out
# scheduler = "tcp://host:8786" # a Dask scheduler; needs PostgreSQL

[names]
# prefix = "CXOU"
# ra_digits = 2                 # decimals of the seconds of time
# dec_digits = 1                # decimals of the seconds of arc

[sources]
# match_tolerance = 0.5         # arcsec within which an added position is a known source

# Files and corrections of one ObsID:
# [observation."4600"]
# aspect = ["pcadf04600_asol1.fits"]
# badpix = "acisf04600_bpix1.fits"
# mask = "acisf04600_msk1.fits"
# dtf = "acisf04600_dtf1.fits"
# fov = "acisf04600_fov1.fits"
# gti = "acisf04600_gti.fits"
# exclude_times = [[205800000.0, 205801000.0]]  # s of mission time
# shift = [0.12, -0.30]         # arcsec, dx and dy
# area_table = "area.ecsv"      # effective area of this ObsID alone
# expmap = {broad = "4600_broad.expmap"}  # exposure maps of your own, by band
# arf = "aimpoint.arf"          # moved off axis by vignetting
# rmf = "aimpoint.rmf"
# [observation."4600".source."CXOU J181830.10-142301.2"]
# arf = "src1.arf"              # of this source, as it is
# rmf = "src1.rmf"
# psf = "src1_psf.fits"         # image with sky coordinates
"""


def write_settings(
    project_dir: Path, database_url: str = DEFAULT_DATABASE, *, overwrite: bool = False
) -> Path:
    """Write a commented ``srccat.toml`` and return its path; the folder is made when it is not there.

    Raises
    ------
    ProjectError
        PROJECT_EXISTS when there is one and `overwrite` is not set, NOT_WRITABLE when it cannot be written.
    SettingsError
        For a URL that TOML cannot hold on one line.
    """
    path = Path(project_dir) / SETTINGS_FILE
    if not database_url.isprintable() or '"' in database_url or "\\" in database_url:
        raise SettingsError("not a database URL", repr(database_url), "give one such as sqlite:///srccat.db")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(_TEMPLATE.replace("{url}", database_url))
    except FileExistsError as error:
        what = "there is a project here already" if path.exists() else "a file is in the way of the folder"
        raise ProjectError(what, path, "choose another folder", code="PROJECT_EXISTS") from error
    except OSError as error:
        reason = f"cannot write the settings ({error.strerror})"
        raise ProjectError(reason, path, "choose another folder", code="NOT_WRITABLE") from error
    return path
