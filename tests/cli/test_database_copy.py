"""`srccat db copy`: a copy that can take the catalog's place, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Done, Srccat


@pytest.fixture
def project(done: Done) -> Path:
    """A project with three sources, one of them removed again."""
    done("init", ".")
    Path("list.csv").write_text("ra,dec,name\n10.0,1.0,a\n11.0,1.0,b\n12.0,1.0,c\n")
    done("add", "sources", "list.csv")
    done("sources", "remove", "c")
    return Path.cwd()


def test_the_copy_takes_the_place_of_the_catalog(project: Path, done: Done) -> None:
    before = done("sources", "list"), done("sources", "history", "--json")
    told = done("db", "copy", "sqlite:///copy.db")
    assert " rows of " in told
    assert "[database] of srccat.toml" in told
    settings = project / "srccat.toml"
    settings.write_text(settings.read_text().replace("sqlite:///srccat.db", "sqlite:///copy.db"))
    (project / "srccat.db").unlink()
    assert (done("sources", "list"), done("sources", "history", "--json")) == before
    assert "integrity ok" in done("db", "check")
    (project / "more.csv").write_text("ra,dec,name\n13.0,1.0,d\n")
    done("add", "sources", "more.csv")
    # The number of the removed source is not given again, in the copy neither.
    assert [row["id"] for row in json.loads(done("sources", "list", "--json"))] == [1, 2, 4]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("sqlite:///srccat.db", "TARGET_NOT_EMPTY"),
        ("sqlite:///no/such/folder.db", "PROJECT"),
        ("mysql://me@host/db", "PROJECT"),
        ("postgresql://me@localhost:1/db", "NO_SERVER"),
        ("nonsense", "PROJECT"),
    ],
)
def test_what_is_refused(project: Path, srccat: Srccat, url: str, code: str) -> None:
    outcome = srccat("db", "copy", url)
    assert outcome.code == 2
    assert [line for line in outcome.err.splitlines() if line.startswith("error[")] == [outcome.err.strip()]
    assert outcome.err.startswith(f"error[{code}]")
    assert {item.name.partition(".db")[0] for item in project.glob("*.db*")} == {"srccat"}
