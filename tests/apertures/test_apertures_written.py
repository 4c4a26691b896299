"""Regions as written: ds9 and CIAO text against the regions package, refusals by line, round trips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.apertures.drawn import cut_out, rival, same_region
from catalog.apertures.ds9_reader import read_ds9
from catalog.apertures.ds9_writer import ds9_lines
from catalog.apertures.fits_regions import FitsRegion, read_fits_regions, region_table
from catalog.apertures.region import Region, clip_to_field, region_from_dict
from catalog.apertures.region_labels import read_labelled_regions
from catalog.apertures.shape import Annulus, Circle, Polygon, Shape, Union
from catalog.apertures.turned import Box, Ellipse, Sector
from catalog.apertures.written_region import written_regions
from catalog.errors import InputFileError, UserError
from catalog.events.sky_frame import SkyFrame

FRAME = SkyFrame(161.2, -59.6, 4096.5, 4096.5, -0.492 / 3600, 0.492 / 3600)


def wcs_of(frame: SkyFrame) -> WCS:
    result = WCS(naxis=2)
    result.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    result.wcs.crpix = [frame.x_ref, frame.y_ref]
    result.wcs.crval = [frame.ra, frame.dec]
    result.wcs.cdelt = [frame.dx, frame.dy]
    result.wcs.radesys = "ICRS"
    return result


def region(text: str, frame: SkyFrame = FRAME) -> Region:
    return written_regions([read_ds9(text, "test.reg")], frame)[0]


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


place = st.tuples(numbers(3000, 5000), numbers(3000, 5000))
shapes: st.SearchStrategy[Shape] = st.one_of(
    st.builds(lambda p, r: Circle(*p, r), place, numbers(1, 50)),
    st.builds(lambda p, r, w: Annulus(*p, r, r + w), place, numbers(1, 50), numbers(1, 50)),
    st.builds(
        lambda p, a, b, t: Ellipse(*p, a, b, t), place, numbers(1, 50), numbers(1, 50), numbers(-180, 180)
    ),
    st.builds(lambda p, a, b, t: Box(*p, a, b, t), place, numbers(1, 50), numbers(1, 50), numbers(-180, 180)),
    st.builds(
        lambda p, r, w, a, b: Sector(*p, r, r + w, a, a + b),
        place,
        numbers(1, 50),
        numbers(1, 50),
        numbers(0, 359),
        numbers(1, 359),
    ),
    st.builds(
        lambda p, radii: Polygon(
            tuple(
                (p[0] + r * np.cos(2 * np.pi * k / len(radii)), p[1] + r * np.sin(2 * np.pi * k / len(radii)))
                for k, r in enumerate(radii)
            )
        ),
        place,
        st.lists(numbers(5, 50), min_size=3, max_size=12),
    ),
)
unions = st.lists(shapes, min_size=2, max_size=3, unique=True).map(lambda parts: Union(tuple(parts)))
# A shape smaller than what is cut from it would leave nothing, which is refused: holes are small and apart.
regions = st.builds(
    lambda shape, holes: Region(shape, tuple(Circle(9000.0 + k, 9000.0, r) for k, r in enumerate(holes))),
    st.one_of(shapes, unions),
    st.lists(numbers(1, 5), max_size=3),
)


# --- round trips ------------------------------------------------------------------------------------------


@given(regions)
@settings(max_examples=80, deadline=None)
def test_sky_pixels_come_back_bit_for_bit(drawn: Region) -> None:
    assert region("\n".join(["physical", *ds9_lines(drawn, None)])) == drawn


@given(regions, numbers(-80, 80), numbers(0, 359))
@settings(max_examples=80, deadline=None)
def test_celestial_coordinates_come_back(drawn: Region, dec: float, ra: float) -> None:
    frame = SkyFrame(ra, dec, 4096.5, 4096.5, -0.492 / 3600, 0.492 / 3600)
    again = region("\n".join(["icrs", *ds9_lines(drawn, frame, "text={12}")]), frame)
    assert same_region(drawn, again, 1e-6)
    assert region_from_dict(again.to_dict()) == again


@given(st.lists(regions, min_size=1, max_size=4), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_fits_table_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Region], clip: bool
) -> None:
    if clip:
        # Clipped by two chips, as a region at an edge is.
        field = shapely.union(shapely.box(2900, 2900, 4000, 5100), shapely.box(4010, 2900, 5100, 5100))
        drawn = [item for item in (clip_to_field(item, field) for item in drawn) if item.field != ()]
    path = tmp_path_factory.mktemp("regions") / "all.fits"
    items = [FitsRegion(item, "", str(k), "4600", "source", "default") for k, item in enumerate(drawn)]
    table = region_table(items)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    found = read_fits_regions(path) if drawn else []
    assert [item.region for item in found] == drawn
    assert [(item.source, item.obs_id, item.role, item.recipe) for item in found] == [
        (str(k), "4600", "source", "default") for k in range(len(drawn))
    ]


# --- against the regions package --------------------------------------------------------------------------

THEIRS = [
    'circle(161.25,-59.58,12.5")',
    'ellipse(161.25,-59.58,12.5",5",33)',
    'box(161.25,-59.58,12.5",25",-70)',
    'annulus(161.25,-59.58,5",20")',
    "polygon(161.25,-59.58,161.26,-59.58,161.262,-59.57,161.255,-59.575)",
]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        *(("icrs", line) for line in THEIRS),
        *(("fk5", line) for line in THEIRS),
        # Not those with an angle: the package counts it from the image's north whatever the frame, ds9 not.
        *(("galactic", THEIRS[k]) for k in (0, 3, 4)),
    ],
)
def test_shapes_are_those_of_the_regions_package(name: str, line: str) -> None:
    from regions import PixCoord, Regions

    if name == "galactic":
        line = turned_to_galactic(line)
    (theirs,) = Regions.parse(f"{name}\n{line}\n", format="ds9")
    # Their pixels count from 0.
    pixels = theirs.to_pixel(wcs_of(FRAME))
    ours = region(f"{name}\n{line}\n")
    x0, y0, reach = ours.shape.reach
    rng = np.random.default_rng(1)
    x, y = rng.uniform(x0 - reach, x0 + reach, 60000), rng.uniform(y0 - reach, y0 + reach, 60000)
    inside = ours.contains(x, y)
    assert 0.05 < inside.mean() < 0.95
    expected = pixels.contains(PixCoord(x - 1, y - 1))
    # A thousandth of a sky pixel is what their local pixel scale and projection leave open.
    ring = shapely.distance(shapely.points(x, y), ours.shape.geometry().boundary) < 2e-3
    assert np.array_equal(inside[~ring], np.asarray(expected)[~ring])
    assert ours.area == pytest.approx(pixels.area, rel=2e-5)


def test_galactic_angles_count_from_galactic_north() -> None:
    position = SkyCoord(161.25 * u.deg, -59.58 * u.deg)
    turn = position.position_angle(SkyCoord(0 * u.deg, 90 * u.deg, frame="galactic").icrs).deg
    first = region(f"galactic\n{turned_to_galactic(THEIRS[1])}")
    second = region(f'icrs\nellipse(161.25,-59.58,12.5",5",{33 + turn})')
    assert 20 < turn % 90 < 80
    assert same_region(first, second, 1e-4)


def turned_to_galactic(line: str) -> str:
    """The same shape with galactic numbers; angles stay as written."""
    word, inside = line[:-1].split("(")
    words = inside.split(",")
    number = len(words) if word == "polygon" else 2
    world = SkyCoord(words[0:number:2], words[1:number:2], unit="deg", frame="icrs").galactic
    pairs = [f"{lon!r},{lat!r}" for lon, lat in zip(world.l.deg.tolist(), world.b.deg.tolist(), strict=True)]
    return f"{word}({','.join([*pairs, *words[number:]])})"


@given(shapes)
@settings(max_examples=40, deadline=None)
def test_what_is_written_the_regions_package_reads(shape: Shape) -> None:
    from regions import PixCoord, Regions

    if isinstance(shape, Sector):
        return
    text = "\n".join(["icrs", *ds9_lines(Region(shape), FRAME, "text={12} tag={obs 4600}")])
    (theirs,) = Regions.parse(text, format="ds9")
    pixels = theirs.to_pixel(wcs_of(FRAME))
    assert pixels.area == pytest.approx(shape.area, rel=5e-5)
    x0, y0, reach = shape.reach
    rng = np.random.default_rng(2)
    x, y = rng.uniform(x0 - reach, x0 + reach, 4000), rng.uniform(y0 - reach, y0 + reach, 4000)
    away = shapely.distance(shapely.points(x, y), shape.geometry().boundary) > 5e-3
    assert np.array_equal(
        shape.contains(x, y)[away], np.asarray(pixels.contains(PixCoord(x - 1, y - 1)))[away]
    )


# --- counts and areas -------------------------------------------------------------------------------------


@given(unions, st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_union_is_all_its_parts(union: Union, seed: int) -> None:
    x0, y0, reach = union.reach
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(x0 - reach, x0 + reach, 5000), rng.uniform(y0 - reach, y0 + reach, 5000)
    expected = np.zeros(5000, dtype=bool)
    for part in union.parts:
        expected |= part.contains(x, y)
    assert np.array_equal(union.contains(x, y), expected)
    assert np.all(np.hypot(x[expected] - x0, y[expected] - y0) <= reach * (1 + 1e-12))
    largest = max(part.area for part in union.parts)
    assert largest * (1 - 1e-6) <= union.area <= sum(part.area for part in union.parts) * (1 + 1e-6)


def test_area_of_parts_that_do_not_overlap_is_exact() -> None:
    union = Union((Circle(10.0, 10.0, 3.0), Circle(30.0, 10.0, 4.0)))
    assert Region(union).area == pytest.approx(np.pi * 25, rel=1e-15)


def test_a_polygon_with_a_hole_clipped_by_the_field() -> None:
    drawn = region("physical\npolygon(4000,4000,4100,4000,4100,4100,4000,4100)\n-box(4050,4050,20,20)\n")
    field = shapely.box(4040, 3900, 5000, 5000)
    clipped = clip_to_field(drawn, field)
    assert clipped.area == pytest.approx(60 * 100 - 20 * 20, rel=1e-12)
    x, y = (grid.ravel() + 0.25 for grid in np.meshgrid(np.arange(3990, 4110), np.arange(3990, 4110)))
    expected = (x > 4040) & (x < 4100) & (y > 4000) & (y < 4100)
    expected &= ~((np.abs(x - 4050) < 10) & (np.abs(y - 4050) < 10))
    assert np.array_equal(clipped.contains(x, y), expected)
    empty = clip_to_field(drawn, shapely.box(0, 0, 10, 10))
    assert empty.area == 0
    assert not empty.contains(x, y).any()


# --- what is read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("physical\ncircle(4000,4010,5)", Region(Circle(4000, 4010, 5))),
        ("circle(4000,4010,5)", Region(Circle(4000, 4010, 5))),
        ("physical;circle 4000 4010 5", Region(Circle(4000, 4010, 5))),
        ("PHYSICAL; CIRCLE(4000p, 4010p, 5p)", Region(Circle(4000, 4010, 5))),
        ("physical\nannulus(4000,4010,0,5)", Region(Circle(4000, 4010, 5))),
        ("rotbox(4000,4010,5,6,30)", Region(Box(4000, 4010, 5, 6, 30))),
        ("rectangle(4000,4010,4010,4014)", Region(Box(4005, 4012, 10, 4))),
        ("pie(4000,4010,2,5,30,90)", Region(Sector(4000, 4010, 2, 5, 30, 90))),
        ("panda(4000,4010,30,90,1,2,5,1)", Region(Sector(4000, 4010, 2, 5, 30, 90))),
        (
            "circle(4000,4010,5)-circle(4001,4010,2)-circle(3999,4010,1)",
            Region(Circle(4000, 4010, 5), (Circle(4001, 4010, 2), Circle(3999, 4010, 1))),
        ),
        (
            "circle(4000,4010,5)*!circle(4001,4010,2)",
            Region(Circle(4000, 4010, 5), (Circle(4001, 4010, 2),)),
        ),
        (
            "ellipse(4000,4010,2,1,6,3,20)",
            Region(Ellipse(4000, 4010, 6, 3, 20), (Ellipse(4000, 4010, 2, 1, 20),)),
        ),
        ("box(4000,4010,2,1,6,3,20)", Region(Box(4000, 4010, 6, 3, 20), (Box(4000, 4010, 2, 1, 20),))),
        (
            "physical\ncircle(4000,4010,5)\n+circle(4050,4010,5)",
            Region(Union((Circle(4000, 4010, 5), Circle(4050, 4010, 5)))),
        ),
        (
            "polygon(4000,4000,4010,4000,4010,4010,4000,4010,4000,4000)",
            Region(Polygon(((4000.0, 4000.0), (4010.0, 4000.0), (4010.0, 4010.0), (4000.0, 4010.0)))),
        ),
        (
            "# Region file format: CIAO version 1.0\ncircle(4000,4010,5) # a note",
            Region(Circle(4000, 4010, 5)),
        ),
        (
            "global color=green\nphysical\n# text(1,2) text={a}\nline(1,2,3,4) # line\ncircle(4000,4010,5)",
            Region(Circle(4000, 4010, 5)),
        ),
    ],
)
def test_notations(text: str, expected: Region) -> None:
    assert region(text) == expected


def test_sexagesimal_positions_are_those_in_degrees() -> None:
    first = region('circle(10:45:00.0,-59:34:48,12")')
    second = region("icrs\ncircle(161.25,-59.58,0.2')")
    assert same_region(first, second, 1e-8)


def test_labels_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.reg"
    path.write_text(
        "physical\n"
        "circle(1,2,3) # text={7} tag={obs 4600} tag={source}\n"
        "-circle(1,2,1)\n"
        "circle(9,9,3) # text={a {name} tag={id 8} tag={obs 4600} tag={background} tag={recipe srcflux}\n"
        "circle(5,5,1) # background text={7}\n"
        "point(1,2) # point=cross tag={marker} tag={id 7}\n"
        "circle(1,2,9) # tag={mask} tag={id 7}\n"
    )
    found = read_labelled_regions(path)
    assert [(item.source, item.obs_id, item.role, item.recipe) for item in found] == [
        ("7", "4600", "source", ""),
        ("8", "4600", "background", "srcflux"),
        ("7", "", "background", ""),
    ]
    assert [len(item.shapes or ()) for item in found] == [2, 1, 1]
    assert [item.where.rpartition(" ")[2] for item in found] == ["2", "4", "5"]
    given = read_labelled_regions(path, source="5", obs_id="1", role="source", recipe="default")
    assert [(item.source, item.obs_id, item.role, item.recipe) for item in given] == [
        ("5", "1", "source", "default")
    ]


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("circle(4000,4010)", "REGION_SYNTAX"),
        ("circle(4000,4010,5", "REGION_SYNTAX"),
        ("circle(4000,abc,5)", "REGION_SYNTAX"),
        ("circle(4000,4010,5) what", "REGION_SYNTAX"),
        ("polygon(1,2,3,4,5)", "REGION_SYNTAX"),
        ("hexagon(4000,4010,5)", "REGION_SHAPE"),
        ("sector(4000,4010,5,90)", "REGION_SHAPE"),
        ("annulus(4000,4010,5)", "REGION_SYNTAX"),
        ("annulus(4000,4010,5,6,7)", "REGION_SYNTAX"),
        ("panda(4000,4010,0,90,3,2,5,1)", "REGION_SHAPE"),
        ("circle(4000,4010,5)*circle(4001,4010,5)", "REGION_SHAPE"),
        ('circle(4000,4010,5")', "REGION_UNIT"),
        ("circle(4000,4010,0)", "REGION_EMPTY"),
        ("circle(4000,4010,-2)", "REGION_EMPTY"),
        ("annulus(4000,4010,5,5)", "REGION_EMPTY"),
        ("annulus(4000,4010,6,5)", "REGION_EMPTY"),
        ("pie(4000,4010,1,5,30,30)", "REGION_EMPTY"),
        ("box(4000,4010,0,5)", "REGION_EMPTY"),
        ("point(4000,4010)", "REGION_EMPTY"),
        ("polygon(1,1,2,2,3,3)", "REGION_EMPTY"),
        ("polygon(0,0,10,10,10,0,0,10)", "REGION_SELF_CROSSING"),
        ("-circle(4000,4010,5)", "REGION_SHAPE"),
        ("image", "UNSUPPORTED_FRAME"),
        ("wcsa", "UNSUPPORTED_FRAME"),
        ("icrs;circle(400,20,5)", "COORDINATE_RANGE"),
        ("icrs;circle(161,-95,5)", "COORDINATE_RANGE"),
        ("icrs;circle(161,20,5p)", "REGION_UNIT"),
        ("icrs;circle(341,60,1)", "OUTSIDE_FRAME"),
    ],
)
def test_refusals_name_the_line(line: str, code: str) -> None:
    with pytest.raises(UserError) as caught:
        region(f"# Region file format: DS9\nphysical\n\n{line}\n")
    assert caught.value.code == code
    assert caught.value.where == "test.reg, line 4", str(caught.value)
    assert caught.value.todo


def test_a_self_crossing_polygon_says_where() -> None:
    with pytest.raises(InputFileError, match=r"crosses itself at sky pixel 5\.0, 5\.0"):
        region("polygon(0,0,10,10,10,0,0,10)")


def test_exclusions_that_leave_nothing() -> None:
    with pytest.raises(InputFileError) as caught:
        region("circle(10,10,3)\n-circle(10,10,4)")
    assert caught.value.code == "REGION_EMPTY"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "NO_REGIONS"), (b"physical\n", "NO_REGIONS"), (b"\xff\xfe\x00\x01", "REGION_FILE")],
)
def test_files_without_regions(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "bad.reg"
    path.write_bytes(content)
    with pytest.raises(InputFileError) as caught:
        read_labelled_regions(path)
    assert caught.value.code == code


# --- drawn regions among others ---------------------------------------------------------------------------


def test_a_computed_region_gives_way() -> None:
    ring = Region(Annulus(100.0, 100.0, 10.0, 40.0))
    drawn = Region(Ellipse(125.0, 100.0, 8.0, 5.0, 20.0))
    cut = cut_out(ring, [drawn, Region(Circle(500.0, 100.0, 5.0))])
    assert cut.exclude == (drawn.shape,)
    assert cut.area == pytest.approx(ring.area - drawn.area, rel=1e-5)
    assert cut_out(ring, [Region(Circle(500.0, 100.0, 5.0))]) is ring


def test_a_hole_in_a_drawn_region_is_left_to_its_neighbour() -> None:
    neighbour = Region(Circle(105.0, 100.0, 2.0))
    drawn = Region(Circle(100.0, 100.0, 12.0), (Circle(105.0, 100.0, 3.0),))
    assert cut_out(neighbour, [drawn]).area == pytest.approx(neighbour.area, rel=1e-4)


def test_whose_an_aperture_is() -> None:
    others = np.array([[110.0, 100.0], [300.0, 100.0]])
    assert rival(Region(Circle(101.0, 100.0, 5.0)), (100.0, 100.0), others) is None
    assert rival(Region(Circle(108.0, 100.0, 9.0)), (100.0, 100.0), others) == 0
    assert rival(Region(Circle(100.0, 120.0, 5.0)), (100.0, 100.0), others) == -1
    assert rival(Region(Circle(100.0, 120.0, 5.0)), (100.0, 100.0), np.empty((0, 2))) == -1


def test_regions_that_ds9_rounded_are_the_same() -> None:
    first = Region(Ellipse(100.0, 100.0, 8.0, 5.0, 20.0), (Circle(1.0, 1.0, 2.0), Circle(9.0, 1.0, 2.0)))
    second = Region(
        Ellipse(100.001, 100.0, 8.001, 5.0, 380.0), (Circle(9.0, 1.0, 2.0), Circle(1.0, 1.001, 2.0))
    )
    assert same_region(first, second, 0.01)
    assert not same_region(first, Region(Ellipse(100.02, 100.0, 8.0, 5.0, 20.0), first.exclude), 0.01)
    assert not same_region(first, Region(first.shape, first.exclude[:1]), 0.01)
    assert not same_region(first, Region(Circle(100.0, 100.0, 8.0), first.exclude), 0.01)


def test_galactic_and_icrs_agree() -> None:
    position = SkyCoord(161.25 * u.deg, -59.58 * u.deg)
    galactic = position.galactic
    first = region(f'galactic\ncircle({galactic.l.deg:.12f},{galactic.b.deg:.12f},10")')
    second = region('icrs\ncircle(161.25,-59.58,10")')
    assert same_region(first, second, 1e-5)


@given(st.one_of(shapes, unions), st.lists(shapes, max_size=2), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_counts_and_areas_are_those_of_the_regions_package(shape: Shape, cut: list[Shape], seed: int) -> None:
    from regions import PixCoord, Regions

    parts = shape.parts if isinstance(shape, Union) else (shape,)
    if any(isinstance(part, Sector) for part in (*parts, *cut)):
        return
    # Written by us, read by them: their pixels count from 0, ds9's from 1.
    theirs = [
        Regions.parse("\n".join(["image", *ds9_lines(Region(part), None)]), format="ds9")[0]
        for part in (*parts, *cut)
    ]
    for part, their in zip((*parts, *cut), theirs, strict=True):
        assert part.area == pytest.approx(their.area, rel=1e-6)
    rng = np.random.default_rng(seed)
    x0, y0, reach = shape.reach
    x, y = rng.uniform(x0 - reach, x0 + reach, 3000), rng.uniform(y0 - reach, y0 + reach, 3000)
    inside = np.logical_or.reduce([their.contains(PixCoord(x - 1, y - 1)) for their in theirs[: len(parts)]])
    for their in theirs[len(parts) :]:
        inside &= ~their.contains(PixCoord(x - 1, y - 1))
    assert np.array_equal(Region(shape, tuple(cut)).contains(x, y), inside)
