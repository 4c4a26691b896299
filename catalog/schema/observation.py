"""Tables of observations, their event sets, good times and chips, and of energy bands."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, positive_checks, reference, run_reference


class Observation(Base):
    """One pointing."""

    __tablename__ = "observation"
    __table_args__ = (
        UniqueConstraint("obs_id", "obi_num", "cycle", "datamode"),
        CheckConstraint("cycle IN ('P', 'S')", name="cycle"),
        *positive_checks("ontime", "livetime"),
        {"comment": "One pointing: identity, time, pointing, astrometric correction"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    obs_id: Mapped[str] = column("obs_id", index=True)
    obi_num: Mapped[int] = column("obi_num")
    cycle: Mapped[str] = column("cycle")
    datamode: Mapped[str] = column("datamode")
    instrument: Mapped[str] = column("instrument")
    detector: Mapped[str] = column("detector")
    grating: Mapped[str] = column("grating")
    object: Mapped[str | None] = column("object")
    date_obs: Mapped[str] = column("date_obs")
    decimal_year: Mapped[float] = column("decimal_year")
    tstart: Mapped[float] = column("tstart")
    tstop: Mapped[float] = column("tstop")
    ontime: Mapped[float] = column("ontime")
    livetime: Mapped[float] = column("livetime", null=False)
    ra_pnt: Mapped[float] = column("ra_pnt")
    dec_pnt: Mapped[float] = column("dec_pnt")
    roll_pnt: Mapped[float] = column("roll_pnt")
    frame_time: Mapped[float | None] = column("frame_time")
    hpx29: Mapped[int] = column("hpx29", index=True)
    correction_dx: Mapped[float | None] = column("correction_dx")
    correction_dy: Mapped[float | None] = column("correction_dy")
    correction_rotation: Mapped[float | None] = column("correction_rotation")
    correction_scale: Mapped[float | None] = column("correction_scale")
    correction_error: Mapped[float | None] = column("correction_error")
    correction_method: Mapped[str | None] = column("correction_method")


class EventSet(Base):
    """An event list of an observation with a role."""

    __tablename__ = "event_set"
    __table_args__ = (
        UniqueConstraint("observation_id", "role"),
        CheckConstraint("role IN ('photometry', 'validation', 'spectral')", name="role"),
        *positive_checks("n_events"),
        {"comment": "Event lists of observations, with their companions"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    observation_id: Mapped[int] = reference("observation")
    input_file_id: Mapped[int] = reference("input_file", delete="RESTRICT")
    role: Mapped[str] = column("role")
    n_events: Mapped[int] = column("n_events")
    energy_lo: Mapped[float | None] = column("energy_lo")
    energy_hi: Mapped[float | None] = column("energy_hi")
    position_kind: Mapped[str] = column("position_kind")
    ancillary: Mapped[dict[str, Any]] = column("ancillary")
    dropped: Mapped[dict[str, int]] = column("dropped")
    field_hash: Mapped[str | None] = column("field_hash")


class GoodTime(Base):
    """A good time interval of one chip."""

    __tablename__ = "good_time"
    __table_args__ = (
        UniqueConstraint("event_set_id", "chip_id", "gti_start"),
        CheckConstraint("gti_stop > gti_start", name="order"),
        {"comment": "Good time intervals by chip"},
    )

    id: Mapped[int] = key()
    event_set_id: Mapped[int] = reference("event_set")
    chip_id: Mapped[int] = column("chip_id", null=False)
    gti_start: Mapped[float] = column("gti_start")
    gti_stop: Mapped[float] = column("gti_stop")


class Chip(Base):
    """An active chip of an event set."""

    __tablename__ = "chip"
    __table_args__ = (
        UniqueConstraint("event_set_id", "chip_id"),
        *positive_checks("ontime", "livetime"),
        {"comment": "Active chips: times and the outline on the sky swept by the dither"},
    )

    id: Mapped[int] = key()
    event_set_id: Mapped[int] = reference("event_set")
    chip_id: Mapped[int] = column("chip_id", null=False)
    ontime: Mapped[float] = column("ontime")
    livetime: Mapped[float] = column("livetime", null=False)
    outline: Mapped[list[list[float]]] = column("outline")


class BandRow(Base):
    """An energy band."""

    __tablename__ = "band"
    __table_args__ = (
        UniqueConstraint("band"),
        CheckConstraint("0 <= lo AND lo < hi AND lo <= eff AND eff <= hi", name="limits"),
        {"comment": "Energy bands"},
    )

    id: Mapped[int] = key()
    band: Mapped[str] = column("band")
    lo: Mapped[float] = column("lo")
    hi: Mapped[float] = column("hi")
    eff: Mapped[float] = column("eff")
