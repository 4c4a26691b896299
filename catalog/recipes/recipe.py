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

WIDE = "wide"
"""The band of the HRC."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ApertureChoice(_Part):
    """The source aperture."""

    kind: Literal["circle", "contour"] = Field(
        "circle", description="A circle, or the polygon along a contour of the local PSF"
    )
    fraction: float = Field(0.90, gt=0, lt=1, description="Fraction of the PSF that it encloses")
    energy: float = Field(1.0, gt=0.1, lt=10, description="Energy in keV at which it does")
    neighbour_exclusion: float = Field(
        1.2, ge=1, description="Circle cut out around an overlapping neighbour, in its radius"
    )


class CrowdingChoice(_Part):
    """What is done about neighbours."""

    method: Literal["exclude", "joint", "shrink"] = Field(
        "joint",
        description="Cut neighbours out; divide overlapping apertures and measure neighbours together; or "
        "shrink overlapping contours until they part",
    )
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of the joint photometry's random numbers")
    psf_error: float = Field(
        0.0, ge=0, lt=1, description="Relative error of a neighbour's photons in an aperture"
    )


class BackgroundChoice(_Part):
    """The background region and how its counts scale to the source aperture."""

    kind: Literal["annulus", "circle", "matched", "counts"] = Field(
        "annulus",
        description="Annulus of fixed factors; circle that grows outside the masks of all sources; cells in "
        "which neighbours' light is as strong as in the aperture; annulus that holds a number of counts",
    )
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
    mask_fraction: float = Field(
        0.98, gt=0, lt=0.999, description="Fraction of the PSF inside the mask of a source"
    )
    mask_factor: float = Field(1.0, gt=0, le=5, description="Factor on the radius of masks")
    mask_bright: bool = Field(
        False, description="Enlarge masks to where a source is fainter than a tenth of the background"
    )
    ratio_low: float = Field(20.0, gt=0, description="Least exposure-area, in that of the source aperture")
    ratio_goal: float = Field(30.0, gt=0, description="Exposure-area aimed at")
    ratio_high: float = Field(40.0, gt=0, description="Largest exposure-area")
    min_counts: int = Field(5, ge=0, description="Counts that the region holds at least")
    tuned_counts: int = Field(
        0, ge=0, description="Counts to which the exposure-area aimed at is tuned; 0: it is not"
    )
    counts: int = Field(50, ge=1, description="Counts of the annulus that holds a number of them")

    @model_validator(mode="after")
    def _outer_is_outside(self) -> BackgroundChoice:
        if self.outer <= self.inner:
            raise ValueError("the outer radius must be larger than the inner")
        if not self.ratio_low <= self.ratio_goal <= self.ratio_high:
            raise ValueError("ratio_low, ratio_goal and ratio_high must ascend")
        return self


class ExposureChoice(_Part):
    """The effective area of a band and the PSF fraction."""

    weighting: Literal["spectrum", "effective_energy", "mean_arf"] = Field(
        "spectrum",
        description="Area of a band: weighted by the reference spectrum, at its effective energy, or mean",
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
    overlap_limit: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Overlap with a neighbour's aperture from which on an observation is left out, where "
        "another overlaps less; merge all unless given",
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
    area_error: float = Field(
        0.03, ge=0, lt=1, description="Relative error of the area of one observation against another"
    )


class SpectraChoice(_Part):
    """Spectra and how those of several observations are combined."""

    bkg_response: bool = Field(
        False, description="Whether background spectra get an effective area and redistribution of their own"
    )
    combine: Literal["asca", "time", "counts"] = Field(
        "counts", description="How backgrounds of several observations are added: asca, time or counts"
    )


class SpectralFitChoice(_Part):
    """Spectral models fitted to every source; absorber and abundances are those of `model`."""

    models: tuple[Literal["powerlaw", "blackbody", "bremsstrahlung", "thermal", "thermal2"], ...] = Field(
        ("powerlaw",), min_length=1, description="Models, the thermal ones from the settings' table_model"
    )
    scope: Literal["joint", "merged", "each"] = Field(
        "joint",
        description="Observations of a source: fitted jointly, combined to one spectrum, or each alone",
    )
    statistic: Literal["cstat", "wstat", "chi2"] = Field(
        "cstat", description="C-statistic with a fitted background, W-statistic, or chi squared of groups"
    )
    lo: float = Field(0.5, gt=0, lt=12, description="Lower end of the fit in keV")
    hi: float = Field(7.0, gt=0, le=12, description="Upper end of the fit in keV")
    counts_for_shape: float = Field(
        15, ge=0, description="Net counts from which photon index or temperature are free"
    )
    counts_for_nh: float = Field(50, ge=0, description="Net counts from which the column is free")
    counts_for_second: float = Field(
        100, ge=0, description="Net counts from which two temperatures are tried"
    )
    timeout: float = Field(60, gt=0, description="Seconds that one fit may take")
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of the draws behind errors of fluxes")

    @model_validator(mode="after")
    def _band_is_one(self) -> SpectralFitChoice:
        if self.hi <= self.lo:
            raise ValueError("the upper end of the fit must lie above the lower")
        return self


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
    spectra: SpectraChoice = SpectraChoice()
    spectral_fit: SpectralFitChoice = SpectralFitChoice()

    @field_validator("bands")
    @classmethod
    def _bands_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        bands = [band for name in names for band in _bands(name)]
        if len({band.name for band in bands}) < len(bands):
            raise ValueError("a band is named twice")
        return tuple(_spelling(band) for band in bands)

    @model_validator(mode="after")
    def _choices_fit(self) -> Recipe:
        if self.crowding.method == "shrink" and self.aperture.kind != "contour":
            raise ValueError("only contours can shrink: take aperture.kind = 'contour'")
        return self

    @property
    def energy_bands(self) -> tuple[Band, ...]:
        """The bands themselves."""
        return tuple(parse_band(name) for name in self.bands)

    def in_wide_band(self) -> Recipe:
        """The recipe as it applies to the HRC, whose one band is the wide one."""
        return self.model_copy(update={"bands": (WIDE,)})

    def with_wide_band(self) -> Recipe:
        """The recipe with the wide band after its own, where it has not got it."""
        return self if WIDE in self.bands else self.model_copy(update={"bands": (*self.bands, WIDE)})

    def without_wide_band(self) -> Recipe | None:
        """The recipe without the wide band; None where it has no other."""
        bands = tuple(name for name in self.bands if name != WIDE)
        return self.model_copy(update={"bands": bands}) if bands else None

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
            (f"recipe key {key!r}: " if key else "recipe: ") + first["msg"].removeprefix("Value error, "),
            where,
            "see `srccat recipe show default`",
        ) from None
