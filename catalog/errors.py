"""Errors that a user can act on: a stable code, what happened, where, and what to do.

Each class derives from `UserError` and from the builtin that a caller of the library would expect. The
command line prints ``error[CODE]: what: where; what to do`` and ends with exit code 2; anything that is not a
`UserError` is a defect of srccat and shows a traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """Base of all errors caused by input or use, not by a defect.

    Parameters
    ----------
    what
        What is wrong, one clause.
    where
        The file, row, option or object concerned; may be empty.
    todo
        What the user can do about it; may be empty.
    code
        Stable upper-case identifier; the class's own `code` unless given.
    """

    code: str = "USER"

    def __init__(self, what: str, where: object = "", todo: str = "", *, code: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where)
        self.todo = todo
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        text = self.what
        if self.where:
            text += f": {self.where}"
        if self.todo:
            text += f"; {self.todo}"
        return " ".join(text.split())

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all fields, so that an error crosses a process pool unchanged."""
        return (_rebuild, (type(self), self.what, self.where, self.todo, self.code))


def _rebuild(kind: type[UserError], what: str, where: str, todo: str, code: str) -> UserError:
    return kind(what, where, todo, code=code)


class InputFileError(UserError, ValueError):
    """A file that cannot be used: not FITS, truncated, wrong level, missing columns."""

    code = "INPUT_FILE"


class MissingFileError(UserError, FileNotFoundError):
    """A path that does not exist, or a folder without what was looked for."""

    code = "MISSING_FILE"

    # FileNotFoundError formats itself from errno; ours is a sentence.
    __str__ = UserError.__str__


class UnsupportedDataError(UserError, ValueError):
    """Healthy data of a kind that srccat does not measure (yet)."""

    code = "UNSUPPORTED_DATA"


class SourceTableError(UserError, ValueError):
    """A source list without usable coordinates, or with values that are none."""

    code = "SOURCE_TABLE"


class SettingsError(UserError, ValueError):
    """A settings file, recipe or band definition that does not make sense."""

    code = "SETTINGS"


class UnknownNameError(UserError, LookupError):
    """A source, observation, band, recipe or column that is not there."""

    code = "UNKNOWN_NAME"


class QueryError(UserError, ValueError):
    """SQL that the database refuses."""

    code = "QUERY"


class ProjectError(UserError, RuntimeError):
    """A project folder or database that cannot be opened, created or written."""

    code = "PROJECT"


class SchemaVersionError(ProjectError):
    """A database whose schema is newer or older than the code."""

    code = "SCHEMA_VERSION"


class CalibrationError(UserError, ValueError):
    """A calibration file that cannot be used, or a quantity that no provider can give."""

    code = "CALIBRATION"
