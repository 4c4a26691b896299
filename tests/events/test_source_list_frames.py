"""Units and reference systems of source lists, against astropy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from catalog.errors import UserError
from catalog.events.source_list import SourceList, read_source_list

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
    ("unit", "factor"), [("rad", np.pi / 180), ("deg", 1.0), ("arcmin", 60.0), ("mas", 3.6e6)]
)
def test_units_of_numbers(tmp_path: Path, unit: str, factor: float) -> None:
    t = Table({"ra": RA * factor, "dec": DEC * factor})
    t["ra"].unit = t["dec"].unit = unit
    for name in ("t.fits", "t.xml", "t.ecsv"):
        t.write(tmp_path / name, format="votable" if name.endswith("xml") else None)
        check(read_source_list(tmp_path / name), None)


@pytest.mark.parametrize("unit", ["hourangle", "h"])
def test_hours(tmp_path: Path, unit: str) -> None:
    t = Table({"ra": RA / 15, "dec": DEC})
    t["ra"].unit = unit
    t.write(tmp_path / "t.ecsv")
    check(read_source_list(tmp_path / "t.ecsv"), None)


def test_hour_unit_applies_to_text_cells_too(save: Callable[..., Path]) -> None:
    text = "RA\tDE\nhourangle\tdeg\n---\t---\n"
    found = read_source_list(save(text + "16.5\t10\n01:30:00\t20\n"))
    np.testing.assert_allclose(found.ra, [247.5, 22.5])


def test_units_that_are_no_angle_are_refused(tmp_path: Path) -> None:
    t = Table({"ra": RA, "dec": DEC})
    t["ra"].unit = "pix"
    t.write(tmp_path / "t.ecsv")
    refused(tmp_path / "t.ecsv", "COORDINATE_UNIT", "'pix'", "column ra")
    t["ra"].unit, t["dec"].unit = "deg", "hourangle"
    t.write(tmp_path / "u.ecsv")
    refused(tmp_path / "u.ecsv", "COORDINATE_UNIT", "column dec")


def test_sexagesimal_text_in_a_column_of_degrees_is_not_guessed(tmp_path: Path) -> None:
    t = Table({"ra": HMS, "dec": DMS})
    t["ra"].unit = "deg"
    t.write(tmp_path / "t.ecsv")
    refused(tmp_path / "t.ecsv", "COORDINATE_UNIT", "row 1", HMS[0])


@pytest.mark.parametrize("frame", ["fk5", "fk4", "icrs"])
def test_fits_reference_systems(tmp_path: Path, frame: str) -> None:
    hdu = fits.BinTableHDU(table())
    hdu.header["RADESYS"] = frame.upper()
    hdu.writeto(tmp_path / "t.fits")
    found = read_source_list(tmp_path / "t.fits")
    expected = SkyCoord(RA, DEC, unit="deg", frame=frame).icrs
    assert (SkyCoord(found.ra, found.dec, unit="deg").separation(expected).arcsec < 1e-6).all()


def test_old_equinox_is_fk4(tmp_path: Path) -> None:
    hdu = fits.BinTableHDU(table())
    hdu.header["EQUINOX"] = 1950.0
    hdu.writeto(tmp_path / "t.fits")
    found = read_source_list(tmp_path / "t.fits")
    expected = SkyCoord(RA, DEC, unit="deg", frame="fk4").icrs
    assert SkyCoord(found.ra, found.dec, unit="deg").separation(expected).arcsec.max() < 1e-6


def with_coosys(tmp_path: Path, system: str, equinox: str) -> Path:
    t = Table({"ra": RA, "dec": DEC})
    t.write(tmp_path / "plain.vot", format="votable")
    text = (tmp_path / "plain.vot").read_text()
    text = text.replace(
        '<RESOURCE type="results">',
        f'<RESOURCE type="results"><COOSYS ID="s" system="{system}" equinox="{equinox}"/>',
    )
    text = text.replace('name="ra"', 'name="ra" ref="s"').replace('name="dec"', 'name="dec" ref="s"')
    assert 'ref="s"' in text
    assert "COOSYS" in text
    (tmp_path / "t.vot").write_text(text)
    return tmp_path / "t.vot"


@pytest.mark.parametrize(
    ("system", "equinox", "frame"),
    [("eq_FK5", "J2000", "fk5"), ("eq_FK4", "B1950", "fk4"), ("ICRS", "", "icrs")],
)
def test_votable_reference_systems(tmp_path: Path, system: str, equinox: str, frame: str) -> None:
    found = read_source_list(with_coosys(tmp_path, system, equinox))
    expected = SkyCoord(RA, DEC, unit="deg", frame=frame).icrs
    assert SkyCoord(found.ra, found.dec, unit="deg").separation(expected).arcsec.max() < 1e-6


def test_other_equinoxes_are_refused(tmp_path: Path) -> None:
    refused(with_coosys(tmp_path, "eq_FK5", "J1975"), "UNSUPPORTED_FRAME", "J1975")


def test_b1950_columns_and_galactic_columns(save: Callable[..., Path]) -> None:
    sky = SkyCoord(RA, DEC, unit="deg")
    old, galactic = sky.fk4, sky.galactic
    rows = "\n".join(f"{a!r},{d!r}" for a, d in zip(old.ra.deg.tolist(), old.dec.deg.tolist(), strict=True))
    found = read_source_list(save(f"RAB1950,DEB1950\n{rows}\n"), ra="RAB1950", dec="DEB1950")
    assert SkyCoord(found.ra, found.dec, unit="deg").separation(sky).arcsec.max() < 1e-5
    rows = "\n".join(
        f"{a!r},{d!r}" for a, d in zip(galactic.l.deg.tolist(), galactic.b.deg.tolist(), strict=True)
    )
    path = save(f"GLON,GLAT\n{rows}\n")
    for columns in ({}, {"ra": "GLON", "dec": "GLAT"}):
        found = read_source_list(path, **columns)
        assert SkyCoord(found.ra, found.dec, unit="deg").separation(sky).arcsec.max() < 1e-6
