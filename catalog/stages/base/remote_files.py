"""Event files by URL: fetched once into a cache on each machine, and read from there.

A file of the cache lies at the path of its URL, so that one follows from the other. In the database and in
jobs a file goes by its URL; only what opens it asks for the copy.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from catalog.errors import InputFileError, MissingFileError, ProjectError
from catalog.stages.base.checksum import file_sha256

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/")
_COMPANION = re.compile(r"(asol1|bpix1|msk1|dtf1|fov1).*\.fits?(\.gz)?$", re.IGNORECASE)
_EVENTS = re.compile(r"evt2.*\.fits?(\.gz)?$", re.IGNORECASE)
_DEEPEST = 4


def cache_folder() -> Path:
    """Where copies lie: $SRCCAT_CACHE, else in the user's cache folder."""
    chosen = os.environ.get("SRCCAT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen or f"{base}/srccat").expanduser().absolute() / "remote"


def is_url(text: str | Path) -> bool:
    """Whether a text names something on another system."""
    return "://" in str(text)


def url_of(path: Path) -> str | None:
    """The URL that a path stands for, None for a local file; a path has its double slash only once."""
    found = _SCHEME.match(str(path))
    return None if found is None else f"{found[1]}://{str(path)[found.end() :]}"


def stored_name(path: Path) -> str:
    """What a file goes by: the URL of which it is a copy, else its absolute path."""
    absolute = path.resolve()
    root = cache_folder().resolve()
    if not absolute.is_relative_to(root):
        return str(absolute)
    scheme, _, rest = absolute.relative_to(root).as_posix().partition("/")
    return f"{scheme}://{unquote(rest)}"


def fetch(url: str) -> Path:
    """Copy what a URL leads to: an event list with its companions, or those of a folder; return the copy.

    Raises
    ------
    MissingFileError, InputFileError
        There is nothing, or it cannot be read.
    ProjectError
        A package for the URL is missing.
    """
    system, place = _file_system(url)
    if "file" in _protocols(system):
        return Path(place)
    try:
        if system.isdir(place):
            names = [
                name
                for name in system.find(place, maxdepth=_DEEPEST)
                if _EVENTS.search(name) or _COMPANION.search(name)
            ]
        else:
            names = [place, *_beside(system, place)]
        for name in names:
            _copy(system, name, _copy_path(system.unstrip_protocol(name)))
    except FileNotFoundError:
        raise MissingFileError("no such file or folder", url, "check the URL") from None
    except (OSError, ValueError) as error:
        raise _unreadable(url, error) from None
    return _copy_path(system.unstrip_protocol(place))


def local_copy(path: Path, sha256: str) -> Path:
    """Return the path itself, or the copy of the URL that it stands for, fetched unless it is there.

    Raises
    ------
    MissingFileError, InputFileError, ProjectError
        See `fetch`.
    """
    url = url_of(path)
    if url is None:
        return path
    copy = _copy_path(url)
    if not copy.is_file() or file_sha256(copy) != sha256:
        system, place = _file_system(url)
        try:
            _copy(system, place, copy)
        except FileNotFoundError:
            raise MissingFileError("no such file", url, "put it back, or add its observation anew") from None
        except (OSError, ValueError) as error:
            raise _unreadable(url, error) from None
    return copy


def _file_system(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ModuleNotFoundError:
        raise ProjectError("a URL needs fsspec", url, "pip install 'srccat[remote]'") from None
    try:
        system, place = fsspec.core.url_to_fs(url)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise ProjectError(f"a package for this URL is missing ({reason})", url, "install it") from None
    except ValueError as error:
        raise _unreadable(url, error) from None
    return system, place


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _beside(system: Any, place: str) -> list[str]:
    """Companions in the folder of a file; a system that lists no folders has none."""
    try:
        names = system.ls(place.rpartition("/")[0], detail=False)
    except (OSError, ValueError, NotImplementedError):
        return []
    return [name for name in names if _COMPANION.search(name)]


def _copy_path(url: str) -> Path:
    scheme, _, rest = url.partition("://")
    words = [quote(word, safe=" +=@,") for word in rest.split("/") if word not in ("", ".", "..")]
    return cache_folder().joinpath(scheme, *words)


def _copy(system: Any, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Several workers of one machine may fetch it at once: each writes its own, the last one stays.
    part = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        system.get_file(name, str(part))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _unreadable(url: str, error: Exception) -> InputFileError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputFileError(
        f"the URL cannot be read ({reason})", url, "check address and rights", code="UNREADABLE_URL"
    )
