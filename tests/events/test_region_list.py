"""Positions from ds9 and CIAO region files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import UserError
from catalog.events.region_list import read_regions
from catalog.events.source_list import read_source_list

RA = np.array([246.888, 10.0, 359.99999, 0.5])
DEC = np.array([-24.6876, 0.0, 89.5, -0.01])


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refused(path: Path | str, code: str, *words: str, **columns: str) -> UserError:
    with pytest.raises(UserError) as caught:
        read_source_list(path, **columns)
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in str(caught.value), caught.value
    assert "\n" not in str(caught.value)
    return caught.value


REGIONS = """# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1
fk5
circle(16:27:33.12,-24:41:15.36,5") # text={A 1} color=red
ellipse(10.0,0.0,3",2",45) # text="B"
point(359.99999,89.5) # point=cross text='C,c'
box(0:02:00,-0:00:36,5",6",0)
# text(10,10) text={a remark}
# vector(10,10,5",45)
-circle(20,20,5")
line(1,2,3,4) # line=0 0
polygon(100,10,100.001,10,100.001,10.001,100,10.001) # text={E}
"""


def test_ds9_regions(save: Callable[..., Path]) -> None:
    found = read_source_list(save(REGIONS, "s.reg"))
    expected = SkyCoord(RA, DEC, unit="deg", frame="fk5").icrs
    assert SkyCoord(found.ra[:4], found.dec[:4], unit="deg").separation(expected).arcsec.max() < 1e-6
    assert found.names == ("A 1", "B", "C,c", None, "E")
    assert found.rows.tolist() == [4, 5, 6, 7, 12]
    assert len(found.skipped) == 4
    assert found.skipped[2] == "line 10: excluded shape 'circle' is no source"
    centre = SkyCoord(found.ra[4], found.dec[4], unit="deg")
    assert centre.separation(SkyCoord(100.0005, 10.0005, unit="deg", frame="fk5").icrs).arcsec < 1e-3


@pytest.mark.parametrize("frame", ["icrs", "fk5", "fk4", "galactic", "J2000", "b1950"])
def test_region_frames(save: Callable[..., Path], frame: str) -> None:
    name = {"J2000": "fk5", "b1950": "fk4"}.get(frame, frame)
    sky = SkyCoord(200.5, -45.25, unit="deg").transform_to(name)
    values = [getattr(sky.data, part).deg for part in ("lon", "lat")]
    text = f'{frame};circle({float(values[0])!r},{float(values[1])!r},2")\n'
    found = read_source_list(save(text, "f.reg"))
    assert (
        SkyCoord(found.ra, found.dec, unit="deg").separation(SkyCoord(200.5, -45.25, unit="deg")).arcsec.max()
        < 1e-6
    )


def test_a_composite_line_gives_each_shape(save: Callable[..., Path]) -> None:
    found = read_source_list(save('icrs\nannulus(10,20,5",6") || circle(1,2,3") ||\n', "m.reg"))
    assert found.ra.tolist() == [10.0, 1.0]


def test_combined_shapes_are_not_half_read(save: Callable[..., Path]) -> None:
    refused(save('icrs\ncircle(10,20,5")-circle(10,20,2")\n', "c.reg"), "UNREADABLE_TABLE", "line 2")


def test_colons_in_galactic_longitude_are_degrees(save: Callable[..., Path]) -> None:
    found = read_source_list(save('galactic\ncircle(20:30:00,-5:15:00,2")\n', "g.reg"))
    expected = SkyCoord(20.5, -5.25, unit="deg", frame="galactic")
    assert SkyCoord(found.ra, found.dec, unit="deg").separation(expected).arcsec.max() < 1e-6


def test_regions_agree_with_the_regions_package(save: Callable[..., Path]) -> None:
    from regions import Regions

    text = REGIONS.split("# text(10")[0]
    theirs = Regions.parse(text, format="ds9")
    ours = read_source_list(save(text, "s.reg"))
    for region, position in zip(theirs, ours, strict=True):
        assert region.center.icrs.separation(SkyCoord(position.ra, position.dec, unit="deg")).arcsec < 1e-6
        assert region.meta.get("text") == position.name


def test_old_syntax_and_ciao_syntax(save: Callable[..., Path]) -> None:
    assert read_source_list(save('fk5\ncircle 10 20 5"\ncross point 30 40\n', "o.reg")).rows.tolist() == [
        2,
        3,
    ]
    found = read_source_list(save('circle(16:27:33.12,-24:41:15.36,5")\n', "c.reg"))
    np.testing.assert_allclose([found.ra[0], found.dec[0]], [246.888, -24.6876], atol=1e-12)


@pytest.mark.parametrize(
    "text", ["image\ncircle(100,200,5)", "physical;circle(4096.5,4096.5,5)", "circle(4096,4096,10)"]
)
def test_pixel_regions_are_refused(save: Callable[..., Path], text: str) -> None:
    refused(save(text, "p.reg"), "PIXEL_REGIONS", "fk5 or icrs", "line")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('fk5\ncircle(400,10,5")', "COORDINATE_RANGE", ["line 2", "400"]),
        ('fk5\ncircle(10,95,5")', "COORDINATE_RANGE", ["line 2", "95"]),
        ('fk5\ncircle(abc,10,5")', "COORDINATE_TEXT", ["line 2", "abc"]),
        ("fk5\ncircle(10)", "COORDINATE_MISSING", ["line 2"]),
        ("fk5\npolygon(1,2,3,4)", "COORDINATE_MISSING", ["line 2"]),
        ('fk5\ncircle(1,2,3")\nblob(1,2)', "UNREADABLE_TABLE", ["line 3", "blob"]),
        ('wcsa\ncircle(1,2,3")', "UNSUPPORTED_FRAME", ["wcsa"]),
        ("# Region file format: DS9\nfk5\n", "EMPTY_TABLE", []),
    ],
)
def test_bad_regions_name_their_line(
    save: Callable[..., Path], text: str, code: str, words: list[str]
) -> None:
    refused(save(text, "b.reg"), code, "b.reg", *words)


@given(st.floats(0, 360, exclude_max=True), st.floats(-80, 80), st.floats(1e-4, 0.5))
def test_the_centre_of_a_square_is_its_centre(ra: float, dec: float, size: float) -> None:
    corners = SkyCoord(ra, dec, unit="deg").directional_offset_by([45, 135, 225, 315] * u.deg, size * u.deg)
    words = ",".join(
        f"{float(a)!r},{float(d)!r}" for a, d in zip(corners.ra.deg, corners.dec.deg, strict=True)
    )
    found = read_regions(f"icrs\npolygon({words})", "x")
    centre = SkyCoord(found.longitude[0], found.latitude[0], unit="deg")
    assert centre.separation(SkyCoord(ra, dec, unit="deg")).deg < 2e-4 * size + 1e-9
