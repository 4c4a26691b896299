"""What a stage is: what its units depend on, how a batch is loaded, computed and stored.

A stage is a file of its name with the four functions of `Work`, and one entry in `stage_list`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog.calibration.provider import Calibration
from catalog.calibration.psf import PsfLibrary
from catalog.calibration.spectrum import ReferenceSpectrum
from catalog.errors import UserError
from catalog.recipes.recipe import Recipe
from catalog.stages.base.calibration_cache import CalibrationKey
from catalog.stages.base.fingerprint import Inputs
from catalog.stages.base.recipe_store import StoredRecipe
from catalog.stages.base.work import EVERYWHERE, FieldInput, SourceTable
from catalog.store.door import Writer

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Survey:
    """What all stages of a run share.

    Attributes
    ----------
    calibration, calibration_key
        Calibration of the settings, and what a worker opens it by.
    spectrum
        Reference spectrum.
    fields
        Event sets for photometry.
    sources
        All sources.
    pairs
        Rows of the source table that have an extraction, by row number of the event set.
    band_ids
        Row numbers of bands by name.
    nh
        Hydrogen column by source id, 1e22 cm-2.
    table_model
        The user's table of thermal spectra.
    """

    calibration: Calibration
    calibration_key: CalibrationKey
    spectrum: ReferenceSpectrum
    fields: tuple[FieldInput, ...]
    sources: SourceTable
    pairs: Mapping[int, NDArray[Any]]
    band_ids: Mapping[str, int]
    nh: Mapping[int, float]
    table_model: Path | None = None


@dataclass(frozen=True, eq=False)
class Place:
    """Where a stage works: a recipe, in one event set or (`field` None) over all observations."""

    survey: Survey
    stored: StoredRecipe
    field: FieldInput | None = None

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe with the bands that apply here: an observation with the HRC has the wide one alone."""
        recipe = self.stored.recipe
        if self.field is not None:
            return self.field.recipe_here(recipe)
        return recipe if all(item.has_energies for item in self.survey.fields) else recipe.with_wide_band()

    @property
    def recipe_id(self) -> int:
        """Row number of the recipe."""
        return self.stored.id

    @property
    def scope(self) -> str:
        """Natural key of the event set as text, or `EVERYWHERE`."""
        return EVERYWHERE if self.field is None else self.field.scope

    @property
    def observed(self) -> FieldInput:
        """The event set of a stage that works in one."""
        assert self.field is not None
        return self.field

    @property
    def size(self) -> int:
        """Number of sources that may have a unit here."""
        survey = self.survey
        return len(survey.sources) if self.field is None else len(survey.pairs[self.field.event_set_id])

    @property
    def bands(self) -> list[int]:
        """Row numbers of the recipe's bands, in its order."""
        return [self.survey.band_ids[band.name] for band in self.recipe.energy_bands]

    @cached_property
    def psf(self) -> PsfLibrary:
        """Point spread functions with the blur of the event set's positions."""
        return self.survey.calibration.psf.with_blur(self.observed.psf_blur)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a stage could do at a place.

    Attributes
    ----------
    wanted
        Inputs of every unit by source id.
    shared
        What `load` needs besides the database.
    together
        Other sources that must be in the same batch, by source id.
    is_current
        Whether the stage itself knows that no unit is stale; `wanted` then says only how many there are.
    refusal
        Why no unit can be computed: it ends a run that is to compute some.
    """

    wanted: Mapping[int, Inputs]
    shared: Any = None
    together: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    is_current: bool = False
    refusal: UserError | None = None


@dataclass(frozen=True, eq=False)
class Result(Generic[Value]):
    """What a stage found for one source.

    Attributes
    ----------
    source_id
        The source.
    content_hash
        Hash of what later stages may depend on; None where the unit failed.
    value
        What `store` writes; None where the unit failed.
    reason, message
        Why it failed.
    """

    source_id: int
    content_hash: str | None
    value: Value | None
    reason: str | None = None
    message: str | None = None

    @classmethod
    def failed(cls, source_id: int, reason: str, message: str) -> Result[Value]:
        """A unit without a result."""
        return cls(source_id, None, None, reason, message)


class Work(Protocol):
    """The functions of a stage."""

    def plan(self, connection: Connection, place: Place) -> Plan:
        """Return the inputs of every unit by source id; the run compares them with those of the last time."""

    def load(self, connection: Connection, place: Place, plan: Plan, source_ids: Sequence[int]) -> Any:
        """Return all that computing a batch of sources needs, picklable."""

    def compute(self, job: Any) -> list[Result[Any]]:
        """Compute a batch without the database: here, in a worker process or on another machine.

        A unit that cannot be computed may say so by a `Result.failed`; an exception fails the batch, which is
        then tried one by one.
        """

    def store(self, writer: Writer, place: Place, run_id: int, results: Sequence[Result[Any]]) -> None:
        """Write a batch; a failed result (`value` None) removes what an earlier run stored for it."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes
    ----------
    name
        As in commands and work units; also that of its file.
    everywhere
        Whether its units are sources over all observations, not sources in one event set.
    core
        Whether it is on the path to a catalog; others are done once somebody asked for them.
    keeps_equal
        Whether rows stay untouched where the result is that of the last time. Not for a stage that writes
        into rows which another stage overwrites.
    extra
        Optional library that it needs, by the name of srccat's extra: such a stage runs when it is named, and
        from then on with the others.
    seconds
        What a unit takes about, on one core: decides whether worker processes are worth their start.
    """

    name: str
    everywhere: bool = False
    core: bool = False
    keeps_equal: bool = True
    extra: str = ""
    seconds: float = field(kw_only=True)

    @property
    def file(self) -> str:
        """Module of its functions."""
        return f"catalog.stages.steps.{self.name}"

    @property
    def work(self) -> Work:
        """Its functions, imported when they are first needed."""
        return cast(Work, import_module(self.file))


def values(results: Sequence[Result[Value]]) -> list[Value]:
    """What was found, without the failed."""
    return [result.value for result in results if result.value is not None]
