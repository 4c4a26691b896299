"""Every way in which a source list can be wrong has its code, file and row."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from catalog.errors import InputFileError, MissingFileError, SourceTableError, UserError
from catalog.events.source_list import read_source_list

RA = np.array([246.888, 10.0, 359.99999, 0.5])
DEC = np.array([-24.6876, 0.0, 89.5, -0.01])
NAMES = ["A 1", "B", "C,c", "D"]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def table() -> Table:
    return Table({"name": NAMES, "ra": RA, "dec": DEC})


def refused(path: Path | str, code: str, *words: str, **columns: str) -> UserError:
    with pytest.raises(UserError) as caught:
        read_source_list(path, **columns)
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in str(caught.value), caught.value
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        read_source_list(tmp_path / "none.fits")
    refused("none.fits", "MISSING_FILE", "none.fits")
    refused("cat.fits[cols ra=x]", "MISSING_FILE", "--ra")
    refused(tmp_path, "UNREADABLE_TABLE", "folder")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (bytes(range(256)) * 20, "x.bin"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "x.png"),
        (b"PAR1abcdef", "x.parquet"),
        (b"<html><body>login</body></html>", "x.html"),
        (b"<?xml version='1.0'?><VOTABLE><RESOURCE><TABLE>", "x.vot"),
        (b"# %ECSV 1.0\n# ---\n# nonsense\na b\n", "x.ecsv"),
        (b"\x1f\x8b\x08\x00broken", "x.csv.gz"),
        (b"SIMPLE  = garbage", "x.fits"),
        (b"1 2\n3 4\n", "headerless.txt"),
        (b"16:27:33 -24:41:15\n16:27:34 -24:41:15\n", "sexagesimal.txt"),
        (b"ra,dec\n1,2\n3\n", "ragged.csv"),
    ],
)
def test_unreadable_files(save: Callable[..., Path], content: bytes, name: str) -> None:
    refused(save(content, name), "UNREADABLE_TABLE", name)


def test_ragged_rows_are_named(save: Callable[..., Path]) -> None:
    refused(save("ra,dec\n1,2\n3,4,5\n"), "UNREADABLE_TABLE", "data row 2", "3 fields")


def test_truncated_fits(tmp_path: Path) -> None:
    Table({"ra": np.linspace(0, 359, 5000), "dec": np.zeros(5000)}).write(tmp_path / "t.fits")
    content = (tmp_path / "t.fits").read_bytes()
    for name, part in (
        ("a.fits", content[: len(content) // 2]),
        ("b.fits.gz", gzip.compress(content)[:3000]),
    ):
        (tmp_path / name).write_bytes(part)
        refused(tmp_path / name, "UNREADABLE_TABLE", name)


def test_fits_cut_in_its_padding(tmp_path: Path) -> None:
    table().write(tmp_path / "t.fits")
    (tmp_path / "cut.fits").write_bytes((tmp_path / "t.fits").read_bytes()[:-100])
    refused(tmp_path / "cut.fits", "UNREADABLE_TABLE", "truncated", "cut.fits")


def test_fits_without_sources(tmp_path: Path, data_dir: Path) -> None:
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    refused(tmp_path / "image.fits", "UNREADABLE_TABLE", "without a table")
    refused(data_dir / "simulated" / "collinder" / "pcadf90002_asol1.fits.gz", "UNREADABLE_TABLE")


def test_no_coordinates_lists_the_columns(save: Callable[..., Path], tmp_path: Path) -> None:
    refused(save("flux,size\n1,2\n"), "NO_COORDINATES", "flux, size", "--ra and --dec", "list.csv")
    Table({"SHAPE": ["circle"], "X": [4096.0], "ra_err": [1.0]}).write(tmp_path / "reg.fits")
    refused(tmp_path / "reg.fits", "NO_COORDINATES", "SHAPE, X, ra_err")


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("400,0", "COORDINATE_RANGE"),
        ("-10,0", "COORDINATE_RANGE"),
        ("10,90.5", "COORDINATE_RANGE"),
        ("10,-100", "COORDINATE_RANGE"),
        ("25:00:00,0", "COORDINATE_RANGE"),
        ("10:61:00,0", "COORDINATE_RANGE"),
        ("abc,0", "COORDINATE_TEXT"),
        ("10,1h2m3s", "COORDINATE_TEXT"),
        ("1_0,0", "COORDINATE_TEXT"),
        ("inf,0", "COORDINATE_TEXT"),
        ("nan,0", "COORDINATE_MISSING"),
        (",0", "COORDINATE_MISSING"),
        ("10,--", "COORDINATE_MISSING"),
    ],
)
def test_a_bad_cell_is_named_by_row(save: Callable[..., Path], cell: str, code: str) -> None:
    error = refused(save(f"ra,dec\n1,2\n{cell}\n3,4\n"), code, "row 2", "list.csv")
    value = next((part for part in cell.split(",") if part not in {"0", "10", "", "nan", "--"}), "")
    if code == "COORDINATE_TEXT":
        assert value in str(error)


def test_bad_numbers_in_fits(tmp_path: Path) -> None:
    for number, (value, code) in enumerate(
        [
            (np.nan, "COORDINATE_MISSING"),
            (np.inf, "COORDINATE_RANGE"),
            (-0.5, "COORDINATE_RANGE"),
            (400.0, "COORDINATE_RANGE"),
        ]
    ):
        path = tmp_path / f"{number}.fits"
        Table({"ra": [1.0, 2.0, value], "dec": [0.0, 0.0, 0.0]}).write(path)
        refused(path, code, "row 3", path.name)


def test_masked_cells(tmp_path: Path) -> None:
    t = Table({"ra": MaskedColumn([1.0, 2.0], mask=[False, True]), "dec": [1.0, 2.0]})
    for name in ("m.xml", "m.ecsv", "m.fits"):
        t.write(tmp_path / name, format="votable" if name.endswith("xml") else None)
        refused(tmp_path / name, "COORDINATE_MISSING", "row 2", name)


def test_the_value_out_of_range_is_printed(save: Callable[..., Path]) -> None:
    refused(save("ra,dec\n400,2\n"), "COORDINATE_RANGE", "RA 400", "row 1")
    refused(save("ra,dec\n-10,2\n"), "COORDINATE_RANGE", "RA -10", "add 360")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n\n",
        "# only a remark\n",
        "ra,dec\n",
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, datatype: float64}\n"
        "# - {name: dec, datatype: float64}\nra dec\n",
    ],
)
def test_empty_tables(save: Callable[..., Path], content: str) -> None:
    refused(save(content), "EMPTY_TABLE", "list.csv")


def test_empty_fits_and_votable(tmp_path: Path) -> None:
    for name in ("e.fits", "e.vot"):
        table()[:0].write(tmp_path / name, format="votable" if name.endswith("vot") else "fits")
        refused(tmp_path / name, "EMPTY_TABLE", name)


def test_errors_belong_to_their_builtin_classes(save: Callable[..., Path]) -> None:
    with pytest.raises(SourceTableError):
        read_source_list(save("a,b\n1,2\n"))
    with pytest.raises(InputFileError):
        read_source_list(save(b"\0\0\0\0"))
