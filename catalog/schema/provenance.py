"""Tables of runs, input files, recipes and work units: where each number came from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from catalog.schema.base import Base, column, key, positive_checks, reference, run_reference


class Run(Base):
    """One execution of stages or of a command that writes."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'done', 'partial', 'failed')", name="state"),
        {"comment": "One execution: who, when, code version, settings, outcome"},
    )

    id: Mapped[int] = key()
    started_at: Mapped[datetime] = column("started_at")
    finished_at: Mapped[datetime | None] = column("finished_at")
    state: Mapped[str] = column("state")
    command: Mapped[str] = column("command")
    user_name: Mapped[str | None] = column("user_name")
    host: Mapped[str | None] = column("host")
    code_version: Mapped[str] = column("code_version")
    library_versions: Mapped[dict[str, str]] = column("library_versions")
    settings: Mapped[dict[str, Any]] = column("settings")
    settings_hash: Mapped[str] = column("settings_hash")
    stages: Mapped[list[str]] = column("stages")
    seed: Mapped[int | None] = column("seed")
    reasons: Mapped[dict[str, int]] = column("reasons")
    process: Mapped[str | None] = column("process")
    heartbeat_at: Mapped[datetime | None] = column("heartbeat_at")


class InputFile(Base):
    """A file that was read, by path, size and checksum."""

    __tablename__ = "input_file"
    __table_args__ = (
        UniqueConstraint("path", "sha256"),
        *positive_checks("size"),
        {"comment": "Files read, by path, size and SHA-256"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    path: Mapped[str] = column("path")
    size: Mapped[int] = column("size")
    sha256: Mapped[str] = column("sha256", index=True)
    file_kind: Mapped[str] = column("file_kind")


class Recipe(Base):
    """A frozen set of choices."""

    __tablename__ = "recipe"
    __table_args__ = (UniqueConstraint("recipe"), {"comment": "Frozen sets of choices, by name"})

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    recipe: Mapped[str] = column("recipe")
    content: Mapped[dict[str, Any]] = column("content")
    content_hash: Mapped[str] = column("content_hash")


class WorkUnit(Base):
    """The state of one unit of work: what it was computed from, and what became of it."""

    __tablename__ = "work_unit"
    __table_args__ = (
        UniqueConstraint("stage", "recipe_id", "source_id", "scope"),
        CheckConstraint("state IN ('done', 'failed')", name="state"),
        {"comment": "Units of work: fingerprint of the inputs, outcome and reason"},
    )

    id: Mapped[int] = key()
    run_id: Mapped[int] = run_reference()
    stage: Mapped[str] = column("stage")
    recipe_id: Mapped[int] = reference("recipe")
    source_id: Mapped[int] = reference("source")
    event_set_id: Mapped[int | None] = reference("event_set", null=True)
    scope: Mapped[str] = column("scope")
    fingerprint: Mapped[str] = column("fingerprint")
    inputs: Mapped[dict[str, str] | None] = column("inputs")
    result_hash: Mapped[str | None] = column("result_hash")
    state: Mapped[str] = column("state")
    reason: Mapped[str | None] = column("reason")
    message: Mapped[str | None] = column("message")
