"""A condition in SQL: one expression over the columns of a view, and what the database says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from sqlalchemy.exc import DBAPIError

from catalog.band import CSC_SUFFIX
from catalog.errors import QueryError, UnknownNameError
from catalog.export.band_columns import join_band

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<word>[^\W\d]\w*)
      | (?P<cast>::)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<comment>--|/\*)
      | (?P<rest>.)""",
    re.VERBOSE | re.DOTALL,
)
_REFUSED = frozenset(";:?@$`[]\\'\"#{}")
"""Separators, parameters and quotes of one engine only: none has a place in a portable expression."""

_SQLITE_ERROR = 1
_MISSING_SQLITE = re.compile(r"no such column: (?P<name>\S+)")
_MISSING_POSTGRES = re.compile(r'column "?(?P<name>[^"\s]+)"? ')


def unknown_column(name: str, known: Iterable[str], view: str) -> UnknownNameError:
    """Return the error for a column that a view does not have, with the names nearest to it."""
    names = list(known)
    in_bands = [join_band(name, suffix) for suffix in CSC_SUFFIX.values()]
    near = [item for item in in_bands if item in names] or get_close_matches(name, names, n=4, cutoff=0.6)
    todo = f"did you mean {', '.join(near)}?" if near else "`docs/columns.md` lists all columns"
    return UnknownNameError(f"the {view} view has no such column", name, todo, code="UNKNOWN_COLUMN")


def check_expression(where: str, known: Iterable[str], view: str) -> None:
    """Refuse text that is not one expression; the database judges the rest.

    Quoted names are looked up here, since SQLite takes an unknown one for a piece of text.

    Raises
    ------
    QueryError
        With code BAD_WHERE: empty, unbalanced, a second statement, a comment, a parameter.
    UnknownNameError
        With code UNKNOWN_COLUMN: a quoted name that is no column of the view.
    """
    if not where.strip():
        raise _bad("an empty condition", where)
    names = set(known)
    depth, previous = 0, ""
    for match in _TOKEN.finditer(where):
        kind, token = str(match.lastgroup), match.group()
        if kind == "comment" or token in _REFUSED:
            raise _bad(f"{token} has no place in a condition", where)
        if kind == "text" and previous == "word":
            raise _bad("text with a prefix has no place in a condition", where)
        if kind == "quoted" and token.strip('"') not in names:
            raise unknown_column(token.strip('"'), names, view)
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            break
        previous = kind
    if depth:
        raise _bad("parentheses that do not match", where)


def query_failure(error: DBAPIError, where: str, known: Iterable[str], view: str) -> Exception:
    """Return what to raise when the database refuses a query with the user's condition in it.

    A missing column and a faulty expression become user errors; anything else, such as a lost server, is
    returned as it came.
    """
    text = " ".join(str(error.orig).splitlines()[:1])
    state = getattr(error.orig, "sqlstate", None)
    if state == "42703" or (state is None and _MISSING_SQLITE.search(text)):
        match = (_MISSING_SQLITE if state is None else _MISSING_POSTGRES).search(text)
        return unknown_column(match["name"].rpartition(".")[2] if match else text, known, view)
    # PostgreSQL: classes 42 (syntax, names, types), 22 (values, such as a division by zero), 0A and 25.
    faulty = getattr(error.orig, "sqlite_errorcode", None) == _SQLITE_ERROR or (
        state is not None and state[:2] in ("42", "22", "0A", "25")
    )
    return _bad(text, where) if faulty else error


def _bad(reason: str, where: str) -> QueryError:
    return QueryError(
        f"not a condition ({reason})",
        where,
        "give one SQL expression over the columns, such as src_significance_b > 3",
        code="BAD_WHERE",
    )
