"""Source lists of every format, and which columns are taken."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse, writeto
from astropy.table import QTable, Table
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import UnknownNameError, UserError
from catalog.events.source_list import SourceList, SourcePosition, read_source_list

RA = np.array([246.888, 10.0, 359.99999, 0.5])
DEC = np.array([-24.6876, 0.0, 89.5, -0.01])
NAMES = ["A 1", "B", "C,c", "D"]
HMS = ["16:27:33.12", "00:40:00", "23:59:59.9976", "00:02:00"]
DMS = ["-24:41:15.36", "+00:00:00", "89:30:00", "-00:00:36"]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def table() -> Table:
    return Table({"name": NAMES, "ra": RA, "dec": DEC})


def check(found: SourceList, names: list[str] | None = NAMES, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(found.ra, RA, rtol=0, atol=atol)
    np.testing.assert_allclose(found.dec, DEC, rtol=0, atol=atol)
    assert found.names == (tuple(names) if names else (None,) * 4)
    assert found.rows.tolist() == [1, 2, 3, 4]


def refused(path: Path | str, code: str, *words: str, **columns: str) -> UserError:
    with pytest.raises(UserError) as caught:
        read_source_list(path, **columns)
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in str(caught.value), caught.value
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "name", ["l.fits", "l.fits.gz", "l.vot", "l.ecsv", "l.csv", "l.tsv", "l.dat", "l.xml", "l.tbl"]
)
def test_every_format_gives_the_same_positions(tmp_path: Path, name: str) -> None:
    kinds = {
        "vot": "votable",
        "xml": "votable",
        "tsv": "ascii.tab",
        "dat": "ascii.basic",
        "tbl": "ascii.ipac",
    }
    path = tmp_path / name
    suffix = name.split(".")[1]
    table().write(
        path, format=kinds.get(suffix, {"csv": "ascii.csv", "ecsv": "ascii.ecsv"}.get(suffix, "fits"))
    )
    check(read_source_list(path))
    check(read_source_list(str(path)))


@pytest.mark.parametrize("serialization", ["tabledata", "binary", "binary2"])
def test_votable_serialisations(tmp_path: Path, serialization: str) -> None:
    table().write(tmp_path / "l.vot", format="votable", tabledata_format=serialization)
    check(read_source_list(tmp_path / "l.vot"))


def test_the_suffix_does_not_decide(tmp_path: Path) -> None:
    table().write(tmp_path / "l.fits")
    check(read_source_list((tmp_path / "l.fits").rename(tmp_path / "l.txt")))


def test_gzipped_text(save: Callable[..., Path]) -> None:
    rows = zip(NAMES, RA.tolist(), DEC.tolist(), strict=True)
    text = "name,ra,dec\n" + "".join(f'"{name}",{ra!r},{dec!r}\n' for name, ra, dec in rows)
    check(read_source_list(save(gzip.compress(text.encode()), "l.csv.gz")))


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", " ", "   "])
def test_separators_with_sexagesimal_columns(save: Callable[..., Path], separator: str) -> None:
    rows = [separator.join(row) for row in [("RA", "Dec"), *zip(HMS, DMS, strict=True)]]
    check(read_source_list(save("# a remark\n" + "\r\n".join(rows) + "\r\n")), None)


def test_sexagesimal_with_blanks(save: Callable[..., Path]) -> None:
    rows = [f"{h.replace(':', ' ')},{d.replace(':', ' ')}" for h, d in zip(HMS, DMS, strict=True)]
    check(read_source_list(save("RAJ2000,DEJ2000\n" + "\n".join(rows))), None)


def test_a_commented_header(save: Callable[..., Path]) -> None:
    check(
        read_source_list(
            save("# made by hand\n# ra dec\n" + "\n".join(f"{h} {d}" for h, d in zip(RA, DEC, strict=True)))
        ),
        None,
    )


def test_vizier_tsv(save: Callable[..., Path]) -> None:
    body = "\n".join(
        f"{h.replace(':', ' ')}\t{d.replace(':', ' ')}\t{n}" for h, d, n in zip(HMS, DMS, NAMES, strict=True)
    )
    text = '#\n#Column RAJ2000\n\nRAJ2000\tDEJ2000\tName\n"h:m:s"\t"d:m:s"\t \n------\t------\t----\n'
    check(read_source_list(save(text + body + "\n", "v.tsv")))


def test_byte_order_mark_and_latin1(save: Callable[..., Path]) -> None:
    text = "ra,dec,note\n10,20,Söder\n"
    assert read_source_list(save("\ufeff" + text)).ra.tolist() == [10.0]
    assert read_source_list(save(text.encode("latin-1"))).dec.tolist() == [20.0]


MRT = """Title: Sources
Authors: Nobody
Table: 1
================================================================================
Byte-by-byte Description of file: t.txt
--------------------------------------------------------------------------------
   Bytes Format Units   Label   Explanations
--------------------------------------------------------------------------------
   1-  1 A1     ---     Name    Name
   3-  4 I2     h       RAh     Hour of Right Ascension (J2000)
   6-  7 I2     min     RAm     Minute of Right Ascension (J2000)
   9- 13 F5.2   s       RAs     Second of Right Ascension (J2000)
  15- 15 A1     ---     DE-     Sign of the Declination (J2000)
  16- 17 I2     deg     DEd     Degree of Declination (J2000)
  19- 20 I2     arcmin  DEm     Arcminute of Declination (J2000)
  22- 26 F5.2   arcsec  DEs     Arcsecond of Declination (J2000)
--------------------------------------------------------------------------------
a 16 27 33.12 -24 41 15.36
b 00 02 00.00 -00 00 36.00
c 23 59 59.99 +00 00 36.00
"""


def test_machine_readable_table_of_a_journal(save: Callable[..., Path]) -> None:
    found = read_source_list(save(MRT, "t.mrt"))
    np.testing.assert_allclose(found.ra, [246.888, 0.5, 359.99995833333333], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.dec, [-24.6876, -0.01, 0.01], rtol=0, atol=1e-12)
    assert found.names == ("a", "b", "c")
    refused(save(MRT.replace("+00 00 36", "?00 00 36"), "u.mrt"), "COORDINATE_TEXT", "row 3", "?")
    refused(save(MRT.replace("a 16 27", "a    27"), "v.mrt"), "COORDINATE_MISSING", "row 1")


def test_ecsv_with_sky_coordinates(tmp_path: Path) -> None:
    QTable({"pos": SkyCoord(RA, DEC, unit="deg", frame="fk5")}).write(tmp_path / "t.ecsv")
    found = read_source_list(tmp_path / "t.ecsv")
    expected = SkyCoord(RA, DEC, unit="deg", frame="fk5")
    assert (SkyCoord(found.ra, found.dec, unit="deg").separation(expected).arcsec < 1e-6).all()


def test_wavdetect_list(tmp_path: Path) -> None:
    columns = Table(
        {"RA": RA, "DEC": DEC, "RA_ERR": RA * 0 + 1e-5, "DEC_ERR": RA * 0, "X": RA, "COMPONENT": [1, 2, 3, 4]}
    )
    columns["RA"].unit = columns["DEC"].unit = "deg"
    other = fits.BinTableHDU(Table({"ra": [1.0], "dec": [2.0]}), name="OTHER")
    hdu = fits.BinTableHDU(columns, name="SRCLIST")
    hdu.header["RADECSYS"] = "ICRS"
    fits.HDUList([fits.PrimaryHDU(), other, hdu]).writeto(tmp_path / "src.fits")
    found = read_source_list(tmp_path / "src.fits")
    check(found, None)


def test_the_real_chandra_lists(data_dir: Path) -> None:
    for obs_id, number in (("11831", 45), ("15365", 11), ("11832", 9), ("15360", 5)):
        path = data_dir / "real" / "acis" / f"csc2_{obs_id}.ecsv"
        found, truth = read_source_list(path), Table.read(path, format="ascii.ecsv")
        assert len(found) == number
        np.testing.assert_array_equal(found.ra, truth["ra"])
        np.testing.assert_array_equal(found.dec, truth["dec"])
        assert list(found.names) == truth["name"].tolist()


def test_the_simulated_truth(data_dir: Path) -> None:
    found = read_source_list(data_dir / "simulated" / "orion" / "truth.ecsv")
    assert len(found) == 1441
    assert None not in found.names


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("RA", "DEC"),
        ("RAJ2000", "DEJ2000"),
        ("_RAJ2000", "_DEJ2000"),
        ("ra_deg", "dec_deg"),
        ("RAdeg", "DEdeg"),
        ("RA_ICRS", "DE_ICRS"),
        ("ALPHA_J2000", "DELTA_J2000"),
        ("alpha", "delta"),
        ("Right Ascension", "Declination"),
        ("ra (deg)", "dec (deg)"),
        ("RA [J2000]", "Dec [J2000]"),
    ],
)
def test_well_known_column_names(save: Callable[..., Path], ra: str, dec: str) -> None:
    rows = "\n".join(f"{r},{e},{d},{e}" for r, d, e in zip(RA, DEC, (1, 2, 3, 4), strict=True))
    check(read_source_list(save(f"{ra},e_ra,{dec},e_dec\n{rows}\n")), None)


def test_ucds_in_votable_and_fits(tmp_path: Path) -> None:
    t = Table({"p": RA, "q": DEC, "ra": RA + 0.1, "dec": DEC * 0, "id": NAMES})
    for column, ucd in (
        ("p", "pos.eq.ra;meta.main"),
        ("q", "pos.eq.dec;meta.main"),
        ("id", "meta.id;meta.main"),
    ):
        t[column].meta["ucd"] = ucd
    t.write(tmp_path / "t.vot", format="votable")
    check(read_source_list(tmp_path / "t.vot"))
    hdu = fits.BinTableHDU(t)
    for number, column in enumerate(t.colnames, 1):
        hdu.header[f"TUCD{number}"] = t[column].meta.get("ucd", "")
    hdu.writeto(tmp_path / "t.fits")
    check(read_source_list(tmp_path / "t.fits"))


def test_any_equatorial_ucd_when_there_is_one(tmp_path: Path) -> None:
    t = Table({"p": RA, "q": DEC, "e": DEC})
    for column, ucd in (("p", "pos.eq.ra"), ("q", "pos.eq.dec"), ("e", "stat.error;pos.eq.dec")):
        t[column].meta["ucd"] = ucd
    t.write(tmp_path / "t.vot", format="votable")
    check(read_source_list(tmp_path / "t.vot"), None)


def test_named_columns_win(save: Callable[..., Path]) -> None:
    path = save("ra,dec,x,y,z,name\n1,2,10,-20,s1,n1\n3,4,30,-40,s2,n2\n")
    found = read_source_list(path, ra="X", dec="y", name="z")
    assert found.ra.tolist() == [10.0, 30.0]
    assert found.dec.tolist() == [-20.0, -40.0]
    assert found.names == ("s1", "s2")
    assert list(read_source_list(path))[1] == SourcePosition("n2", 3.0, 4.0)


def test_case_decides_only_between_namesakes(save: Callable[..., Path]) -> None:
    path = save("x,X,y\n1,2,3\n")
    assert read_source_list(path, ra="X", dec="Y").ra.tolist() == [2.0]


@pytest.mark.parametrize("option", ["ra", "dec", "name"])
def test_unknown_columns_list_the_known(save: Callable[..., Path], option: str) -> None:
    columns = {"ra": "a", "dec": "b", "name": "c"} | {option: "nope"}
    with pytest.raises(UnknownNameError, match=rf"'nope'.*--{option}.*a, b, c"):
        read_source_list(save("a,b,c\n1,2,3\n"), **columns)


def test_one_coordinate_option_is_not_enough(save: Callable[..., Path]) -> None:
    refused(save("ra,dec\n1,2\n"), "NO_COORDINATES", "--ra and --dec", ra="ra")


def test_integer_names_are_text_and_counters_are_no_names(save: Callable[..., Path], tmp_path: Path) -> None:
    assert read_source_list(save("id,ra,dec\n1,2,3\n")).names == (None,)
    assert read_source_list(save("id,ra,dec\n1,2,3\n"), ra="ra", dec="dec", name="id").names == ("1",)
    Table({"id": [7], "ra": [1.0], "dec": [2.0]}).write(tmp_path / "i.fits")
    assert read_source_list(tmp_path / "i.fits", name="id").names == ("7",)


def test_an_empty_name_is_none(save: Callable[..., Path]) -> None:
    assert read_source_list(save("name,ra,dec\nA,1,2\n,3,4\n")).names == ("A", None)


def test_the_first_table_with_coordinates_is_taken(tmp_path: Path) -> None:
    first, second = fits.BinTableHDU(Table({"flux": [1.0]})), fits.BinTableHDU(table())
    fits.HDUList([fits.PrimaryHDU(), first, second]).writeto(tmp_path / "t.fits")
    check(read_source_list(tmp_path / "t.fits"))


def test_a_named_name_chooses_the_table_that_has_it(tmp_path: Path) -> None:
    first, second = fits.BinTableHDU(Table({"ra": [1.0], "dec": [2.0]})), fits.BinTableHDU(table())
    fits.HDUList([fits.PrimaryHDU(), first, second]).writeto(tmp_path / "t.fits")
    assert len(read_source_list(tmp_path / "t.fits")) == 1
    check(read_source_list(tmp_path / "t.fits", name="name"))


@pytest.mark.parametrize(
    "text", ["246.888 -24.6876", "246.888,-24.6876", "16:27:33.12 -24:41:15.36", "16h27m33.12s -24d41m15.36s"]
)
def test_one_position_from_the_command_line(text: str) -> None:
    found = read_source_list(text)
    np.testing.assert_allclose([found.ra[0], found.dec[0]], [246.888, -24.6876], atol=1e-12)
    assert (len(found), found.origin, found.names, found.rows.tolist()) == (1, "command line", (None,), [1])


def test_a_position_off_the_sky_is_not_taken_for_a_file() -> None:
    refused("400 10", "COORDINATE_RANGE", "400")
    refused("10 100", "COORDINATE_RANGE", "100")


def test_a_file_wins_over_a_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "10 20").write_text("ra,dec\n1,2\n")
    assert read_source_list("10 20").ra.tolist() == [1.0]


def test_votable_written_by_others(tmp_path: Path) -> None:
    table().write(tmp_path / "a.vot", format="votable")
    document = parse(str(tmp_path / "a.vot"))
    document.version = "1.3"
    writeto(document, str(tmp_path / "b.vot"))
    check(read_source_list(tmp_path / "b.vot"))


@given(st.lists(st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)), min_size=1, max_size=20))
def test_text_tables_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]]
) -> None:
    path = tmp_path_factory.mktemp("bits") / "t.csv"
    path.write_text("ra,dec\n" + "".join(f"{ra!r},{dec!r}\n" for ra, dec in rows))
    found = read_source_list(path)
    assert list(zip(found.ra.tolist(), found.dec.tolist(), strict=True)) == rows
