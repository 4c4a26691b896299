"""The recipe: a named, frozen set of choices for apertures, background, bands, exposure and merging."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from catalog.band import CSC_BANDS, Band, parse_band, parse_bands
from catalog.errors import InputFileError, MissingFileError, SettingsError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ApertureChoice(_Part):
    """The source aperture."""

    kind: Literal["circle"] = "circle"
    fraction: float = Field(0.90, gt=0, lt=1, description="Fraction of the PSF that the circle encloses")
    energy: float = Field(1.0, gt=0.1, lt=10, description="Energy in keV at which it does")
    neighbour_exclusion: float = Field(
        1.2, ge=1, description="Circle cut out around an overlapping neighbour, in its radius"
    )


class CrowdingChoice(_Part):
    """What is done about neighbours."""

    method: Literal["exclude", "joint"] = Field(
        "joint",
        description="Cut neighbours out, or divide overlapping apertures and measure neighbours together",
    )
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of the joint photometry's random numbers")
    psf_error: float = Field(
        0.0, ge=0, lt=1, description="Relative error of a neighbour's photons in an aperture"
    )


class BackgroundChoice(_Part):
    """The background region and how its counts scale to the source aperture."""

    kind: Literal["annulus"] = "annulus"
    inner: float = Field(1.7, ge=1, description="Inner radius in aperture radii")
    outer: float = Field(5.0, gt=1, description="Outer radius in aperture radii")
    neighbour_exclusion: float = Field(
        1.7, ge=1, description="Circle cut out around every other source, in its radius"
    )
    follows: Literal["time", "exposure"] = Field(
        "time", description="What the background is proportional to: time on good pixels, or exposure"
    )
    cross_chip_kinds: bool = Field(
        False, description="Whether it may reach from front- to back-illuminated chips"
    )

    @model_validator(mode="after")
    def _outer_is_outside(self) -> BackgroundChoice:
        if self.outer <= self.inner:
            raise ValueError("the outer radius must be larger than the inner")
        return self


class ExposureChoice(_Part):
    """The effective area of a band and the PSF fraction."""

    weighting: Literal["spectrum", "effective_energy"] = Field(
        "spectrum",
        description="Area of a band: weighted by the reference spectrum, or at its effective energy",
    )
    psf_fraction: Literal["model", "ideal"] = Field(
        "model", description="PSF fractions from the PSF, or 1 in the aperture and 0 in the background"
    )


class ModelChoice(_Part):
    """The spectral model behind model fluxes."""

    kind: Literal["powerlaw", "blackbody", "bremsstrahlung"] = "powerlaw"
    parameter: float = Field(1.7, description="Photon index of the power law; kT in keV of the others")
    absorber: Literal["phabs", "wabs"] = "phabs"
    abundances: Literal["angr", "wilm"] = "angr"

    @model_validator(mode="after")
    def _temperature_is_positive(self) -> ModelChoice:
        if self.kind != "powerlaw" and self.parameter <= 0:
            raise ValueError("the parameter of this model is kT in keV, above 0")
        return self


class LimitChoice(_Part):
    """The detection limit."""

    alpha: float = Field(0.0027, gt=0, lt=1, description="False-alarm probability")
    power: float = Field(0.5, gt=0, lt=1, description="Detection probability")


class MergingChoice(_Part):
    """Which observations of a source are merged for photometry."""

    edge: Literal["keep", "drop"] = Field(
        "keep",
        description="Observations that barely see the source: keep with their bound, or drop",
    )
    edge_fraction: float = Field(
        0.1, ge=0, le=1, description="PSF-weighted fraction of time on good pixels below which they barely do"
    )
    validity_counts: int = Field(
        3, ge=0, description="Counts below which every observation enters the merge for validity"
    )


class TimingChoice(_Part):
    """Variability tests and light curves."""

    pvalues: Literal["exact", "asymptotic"] = Field(
        "exact", description="Probabilities of the Kolmogorov-Smirnov and Kuiper tests"
    )
    bin: float = Field(100.0, ge=1, description="Fixed bins of light curves in seconds")
    light_curves: Literal["widest", "all"] = Field(
        "widest", description="Bands that get light curves: the widest one, or all"
    )


class Recipe(_Part):
    """All choices of a recipe; see the shipped presets for examples."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")
    description: str = ""
    bands: tuple[str, ...] = Field(("soft", "medium", "hard", "broad"), min_length=1)
    confidence: float = Field(0.68, gt=0, lt=1, description="Probability inside credible intervals")
    aperture: ApertureChoice = ApertureChoice()
    background: BackgroundChoice = BackgroundChoice()
    crowding: CrowdingChoice = CrowdingChoice()
    exposure: ExposureChoice = ExposureChoice()
    model: ModelChoice = ModelChoice()
    limit: LimitChoice = LimitChoice()
    merging: MergingChoice = MergingChoice()
    timing: TimingChoice = TimingChoice()

    @field_validator("bands")
    @classmethod
    def _bands_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        bands = [band for name in names for band in _bands(name)]
        if len({band.name for band in bands}) < len(bands):
            raise ValueError("a band is named twice")
        return tuple(_spelling(band) for band in bands)

    @property
    def energy_bands(self) -> tuple[Band, ...]:
        """The bands themselves."""
        return tuple(parse_band(name) for name in self.bands)

    def content(self) -> dict[str, Any]:
        """Everything but name and description: what a result can depend on."""
        return self.model_dump(mode="json", exclude={"name", "description"})

    @property
    def content_hash(self) -> str:
        """SHA-256 of the content."""
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _bands(name: str) -> tuple[Band, ...]:
    try:
        return parse_bands(name)
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _spelling(band: Band) -> str:
    # One spelling, so that equal recipes have equal hashes.
    if band == CSC_BANDS.get(band.name):
        return band.name
    return f"{band.name}={band.lo!r}:{band.hi!r}:{band.eff!r}"


def merge_choices(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the choices of `change`, section by section."""
    result = dict(base)
    for name, value in change.items():
        inner = result.get(name)
        result[name] = (
            merge_choices(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return result


def read_recipe(path: Path, parents: dict[str, Recipe]) -> Recipe:
    """Read a recipe file (TOML); ``inherits = "name"`` starts from another recipe.

    Raises
    ------
    MissingFileError, InputFileError, SettingsError
        When the file is missing, is no TOML, or does not describe a recipe.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError("no such recipe file", path, "check the path") from None
    except OSError as error:
        raise InputFileError(
            f"the recipe file cannot be read ({error.strerror})", path, "check the path", code="RECIPE_FILE"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputFileError(
            f"not a recipe file ({error})", path, "write it as TOML", code="RECIPE_FILE"
        ) from None
    parent = content.pop("inherits", None)
    if parent is not None:
        if not isinstance(parent, str) or parent not in parents:
            known = ", ".join(sorted(parents))
            raise SettingsError(
                f"inherits unknown recipe {parent!r}", path, f"known: {known}", code="UNKNOWN_RECIPE"
            )
        content = merge_choices(
            parents[parent].model_dump(mode="json", exclude={"name", "description"}), content
        )
    return recipe_from_content(content, path)


def recipe_from_content(content: dict[str, Any], where: object) -> Recipe:
    """Validate plain content; errors name the key and what is allowed."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"recipe key {key!r}: {first['msg'].removeprefix('Value error, ')}",
            where,
            "see `srccat recipe show default`",
        ) from None
