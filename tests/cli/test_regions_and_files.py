"""`srccat regions`, `files` and `compare` as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from command_line import OBS_IDS, Done, Field, Srccat, check_error, content, rows_of

BAD = {
    "circle(1,2": "REGION_SYNTAX",
    "hexagon(1,2,3)": "REGION_SHAPE",
    "circle(4096,4096,0)": "REGION_EMPTY",
    "polygon(0,0,10,10,10,0,0,10)": "REGION_SELF_CROSSING",
    "image": "UNSUPPORTED_FRAME",
    "circle(4096.5,4096.5,3)": "REGION_OTHER_SOURCE",
    "circle(4096.5,4096.5,3) # text={nobody}": "UNKNOWN_SOURCE",
}


def drawn(line: str) -> Path:
    path = Path("drawn.reg")
    path.write_text(f"physical\n{line}\n")
    return path


def test_draw_measure_release(finished: Path, done: Done) -> None:
    before = rows_of(finished, "SELECT id, cnts_aper FROM measurement ORDER BY id")
    (x, y), *_ = rows_of(
        finished,
        "SELECT x, y FROM extraction e JOIN source s ON s.id = e.source_id "
        "JOIN recipe r ON r.id = e.recipe_id WHERE s.label = 's2' AND r.recipe = 'default'",
    )
    path = drawn(f"circle({x!r},{y!r},25) # text={{s2}}")
    said = done("regions", "add", path, "--obs", OBS_IDS[0], "--role", "source", "--recipe", "default")
    assert said == "1 region of 1 source drawn; `srccat run` measures in them\n"
    assert "not measured yet" in done("regions", "list")
    done("run", "--workers", "1")
    listed = json.loads(done("regions", "list", "--json"))
    assert [(row["name"], row["role"], row["waiting"]) for row in listed] == [
        (listed[0]["name"], "source", False)
    ]
    assert listed[0]["include"] == {"shape": "circle", "x": x, "y": y, "radius": 25.0}
    changed = rows_of(finished, "SELECT id, cnts_aper FROM measurement ORDER BY id")
    assert changed != before
    assert done("regions", "release", "--source", "s2").startswith("1 region released")
    done("run", "--workers", "1")
    assert rows_of(finished, "SELECT id, cnts_aper FROM measurement ORDER BY id") == before
    assert "0 regions" in done("regions", "list")


@pytest.mark.parametrize(("line", "code"), BAD.items())
def test_bad_regions_change_nothing(finished: Path, srccat: Srccat, line: str, code: str) -> None:
    before = content(finished)
    path = drawn(line)
    source = () if "text" in line else ("--source", "s2")
    found = srccat("regions", "add", path, *source, "--obs", OBS_IDS[0], "--role", "source")
    check_error(found, code)
    assert "line 2" in found.err
    assert content(finished) == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "nowhere.reg"), "MISSING_FILE"),
        (("add", "."), "REGION_FILE"),
        (("release",), "SETTINGS"),
        (("release", "--source", "nobody"), "UNKNOWN_SOURCE"),
        (("list", "--obs", "1"), "UNKNOWN_OBSERVATION"),
        (("export", "regions.txt"), "UNKNOWN_FORMAT"),
        (("export", "nowhere/all.reg"), "MISSING_FILE"),
        (("export", "all.reg", "--frame", "fk4"), "UNSUPPORTED_FRAME"),
        (("export", "all.reg", "--recipe", "none"), "UNKNOWN_RECIPE"),
    ],
)
def test_bad_use_of_regions(finished: Path, srccat: Srccat, words: tuple[str, ...], code: str) -> None:
    check_error(srccat("regions", *words), code)


def test_export_and_back(finished: Path, done: Done) -> None:
    said = done("regions", "export", "all.reg")
    number = int(said.split()[0])
    assert number == 16
    assert "0 regions drawn, 16 as they were" in done("regions", "add", "all.reg")
    done("regions", "export", "two.fits", "--source", "s0", "--source", "s1", "--role", "source")
    with fits.open("two.fits") as hdus:
        assert hdus[1].header["OBS_ID"] == OBS_IDS[0]
        assert sorted(set(hdus[1].data["ROLE"])) == ["source"]
        assert len(set(hdus[1].data["ID"])) == 2
    assert "0 regions drawn, 2 as they were" in done("regions", "add", "two.fits")


NAMES = {
    "srccat": (
        "{name}/70101/source_events.fits",
        "{name}/70101/background_events.fits",
        "{name}/70101/counts_broad.fits",
        "{name}/70101/exposure_broad.fits",
        "{name}/70101/flux_broad.fits",
        "{name}/70101/psf_broad.fits",
        "{name}/70101/source_region.fits",
        "{name}/70101/regions.reg",
    ),
    "srcflux": (
        "0001_broad_thresh.img",
        "0001_broad_thresh.expmap",
        "0001_broad_flux.img",
        "0001_broad_model.psf",
        "0001_srcreg.fits",
        "0001_bkgreg.fits",
    ),
    "acis-extract": (
        "{bare}/70101/source.evt",
        "{bare}/70101/neighborhood.evt",
        "{bare}/70101/background.evt",
        "{bare}/70101/source.psf",
        "{bare}/70101/source.emap",
        "{bare}/70101/extract.reg",
        "{bare}/70101/background.reg",
    ),
}


@pytest.mark.parametrize("style", NAMES)
def test_files_have_the_names_of_the_system(finished: Path, done: Done, style: str) -> None:
    done("files", "s0", "--out", "out", "--style", style)
    ((name,),) = rows_of(finished, "SELECT name FROM source WHERE label = 's0'")
    short = name.split()[-1]
    for pattern in NAMES[style]:
        path = Path("out") / pattern.format(name=short, bare=short.removeprefix("J"))
        assert path.is_file(), sorted(str(found) for found in Path("out").rglob("*"))


def test_files_agree_with_the_catalog(finished: Path, done: Done, field: Field) -> None:
    done("files", "s0", "--out", "out")
    (folder,) = Path("out").glob("*/70101")
    ((n, m, ra, dec, x, y),) = rows_of(
        finished,
        "SELECT m.cnts_aper, m.cnts_aperbkg, s.ra, s.dec, e.x, e.y FROM measurement m "
        "JOIN extraction e ON e.id = m.extraction_id JOIN source s ON s.id = e.source_id "
        "JOIN recipe r ON r.id = e.recipe_id JOIN band b ON b.id = m.band_id "
        "WHERE s.label = 's0' AND r.recipe = 'default' AND b.band = 'broad'",
    )
    for name, counts in (("source", n), ("background", m)):
        with fits.open(folder / f"{name}_events.fits") as hdus, fits.open(field.events()) as original:
            hdus.verify("exception")
            energy = hdus["EVENTS"].data["energy"]
            assert int(((energy >= 500) & (energy < 7000)).sum()) == counts > 0
            assert hdus["EVENTS"].columns.names == original["EVENTS"].columns.names
            times = [hdu for hdu in hdus if hdu.name.startswith("GTI")]
            stop = sum(float((hdu.data["STOP"] - hdu.data["START"]).sum()) for hdu in times[:1])
            assert stop == pytest.approx(original["EVENTS"].header["ONTIME"], rel=0.05)
    counts, header = fits.getdata(folder / "counts_broad.fits", header=True)
    exposure, flux = (fits.getdata(folder / f"{kind}_broad.fits") for kind in ("exposure", "flux"))
    assert counts.sum() >= n
    seen = exposure > 0
    assert np.allclose(flux[seen], counts[seen] / exposure[seen], rtol=1e-5, atol=0.0)
    assert not flux[~seen].any()
    # The pixel of the source, in both coordinate systems of the image.
    column, row = WCS(header).wcs_world2pix(ra, dec, 1)
    assert WCS(header, key="P").wcs_pix2world(column, row, 1) == pytest.approx((x, y), abs=1e-4)
    psf, header = fits.getdata(folder / "psf_broad.fits", header=True)
    assert psf.sum() == pytest.approx(header["PSF_TOTL"], rel=1e-5)
    column, row = WCS(header).wcs_world2pix(ra, dec, 1)
    middle = (np.array(psf.shape) + 1) / 2
    assert (column, row) == pytest.approx(tuple(middle), abs=1e-3)
    at = np.array(np.unravel_index(psf.argmax(), psf.shape)) + 1
    assert np.abs(at - middle).max() <= 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nobody", "--out", "out"), "UNKNOWN_SOURCE"),
        (("s0", "--out", "out", "--style", "ae"), "UNKNOWN_STYLE"),
        (("s0", "--out", "out", "--obs", "1"), "UNKNOWN_OBSERVATION"),
        (("s0", "--out", "out", "--recipe", "none"), "UNKNOWN_RECIPE"),
        (("s0", "--out", "out", "--band", "loud"), "SETTINGS"),
        (("beside", "--out", "out"), "NO_REGIONS"),
        (("s0", "--out", "list.csv"), "PROJECT"),
        (("s0",), "USAGE"),
    ],
)
def test_bad_use_of_files(finished: Path, srccat: Srccat, words: tuple[str, ...], code: str) -> None:
    Path("list.csv").write_text("")
    check_error(srccat("files", *words), code)


def test_compare_gives_the_reason(finished: Path, done: Done, srccat: Srccat) -> None:
    said = done("compare", "default", "srcflux", "--plot", "both.png")
    assert said.startswith("photflux_aper, 0.5-7 keV of ")
    assert Path("both.png").stat().st_size > 10_000
    check_error(srccat("compare", "default", "none"), "UNKNOWN_RECIPE")
