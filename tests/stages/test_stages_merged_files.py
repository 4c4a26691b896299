import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from catalog.errors import SettingsError
from catalog.events.sky_frame import SkyFrame
from catalog.export.merged_source_files import HALF_WIDTH, MergedGrid
from catalog.export.source_files import write_source_files
from catalog.stages.base.project import open_project

NAMES = {
    "srccat": ("J{name}/{obs}/source_events.fits", "J{name}/merged/source_events.fits"),
    "srcflux": ("obi{place:03d}_0001_src_evt.fits", "0001_src_evt.fits"),
    "acis-extract": ("{name}/{obs}/source.evt", "{name}/source.evt"),
}


def written(project_folder, out, style="srccat", **words):
    with open_project(project_folder, read_only=True) as project:
        return write_source_files(project, ["src0"], out, style=style, **words)


def seconds_and_rows(path):
    with fits.open(path) as hdus:
        times = sum(float((h.data["STOP"] - h.data["START"]).sum()) for h in hdus if h.name.startswith("GTI"))
        return times, hdus["EVENTS"].data


@pytest.mark.parametrize("style", NAMES)
def test_merged_events_are_those_of_the_observations(finished_project, small_field, tmp_path, style):
    found = written(finished_project, tmp_path, style, merged=True)
    assert not found.remarks
    one, together = NAMES[style]
    (merged,) = tmp_path.glob(together.replace("{name}", "*"))
    name = merged.parent.name.removeprefix("J") if style == "acis-extract" else merged.parent.parent.name[1:]
    numbers = [small_field.observation(k).name for k in (0, 1)]
    single = [
        fits.getdata(tmp_path / one.format(name=name, obs=obs, place=place), "EVENTS")
        for place, obs in enumerate(numbers, start=1)
    ]
    _, rows = seconds_and_rows(merged)
    assert len(rows) == sum(len(part) for part in single) > 20
    assert np.array_equal(np.sort(rows["TIME"]), np.sort(np.concatenate([part["time"] for part in single])))
    assert set(rows["OBS_ID"]) == set(numbers)
    # Sky positions by another library are those of the single files.
    header = fits.getheader(merged, "EVENTS")
    column = {header[f"TTYPE{k}"]: k for k in range(1, header["TFIELDS"] + 1)}
    wcs = WCS(naxis=2)
    for axis, key in enumerate("XY"):
        k = column[key]
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval[axis], wcs.wcs.crpix[axis] = header[f"TCRVL{k}"], header[f"TCRPX{k}"]
        wcs.wcs.cdelt[axis] = header[f"TCDLT{k}"]
    ra, dec = wcs.wcs_pix2world(rows["X"], rows["Y"], 1)
    away = np.hypot((ra - small_field.ra[0]) * np.cos(np.radians(dec)), dec - small_field.dec[0]) * 3600
    assert np.median(away) < 3.0


def test_merged_images_add_up(finished_project, small_field, tmp_path):
    written(finished_project, tmp_path, merged=True)
    (folder,) = tmp_path.glob("*/merged")
    counts, header = fits.getdata(folder / "counts_broad.fits", header=True)
    exposure, flux = (fits.getdata(folder / f"{kind}_broad.fits") for kind in ("exposure", "flux"))
    _, rows = seconds_and_rows(folder / "neighbourhood_events.fits")
    inside = (rows["ENERGY"] >= 500) & (rows["ENERGY"] < 7000)
    assert counts.sum() == inside.sum() > 50
    seen = exposure > 0
    assert np.allclose(flux[seen], counts[seen] / exposure[seen], rtol=1e-5, atol=0)
    # The source lies in the middle; its exposure there is the sum of those of the single files.
    place = WCS(header).wcs_world2pix(small_field.ra[0], small_field.dec[0], 1)
    assert place == pytest.approx((HALF_WIDTH + 1,) * 2, abs=1e-6)
    total = 0.0
    for path in tmp_path.glob("*/*/exposure_broad.fits"):
        if path.parent.name != "merged":
            image, own = fits.getdata(path, header=True)
            x, y = WCS(own).wcs_world2pix(small_field.ra[0], small_field.dec[0], 0)
            total += image[round(float(y)), round(float(x))]
    assert exposure[HALF_WIDTH, HALF_WIDTH] == pytest.approx(total, rel=2e-3)
    psf, card = fits.getdata(folder / "psf_broad.fits", header=True)
    assert psf.sum() == pytest.approx(1.0, abs=1e-5)
    assert card["NUM_OBS"] == 2
    assert card["EXPOSURE"] == pytest.approx(header["EXPOSURE"])


def test_merged_files_of_one_observation_are_refused(finished_project, small_field, tmp_path):
    with pytest.raises(SettingsError, match="merged files of one observation"):
        written(finished_project, tmp_path, merged=True, obs_id=small_field.observation(0).name)


def test_the_grid_undoes_what_corrections_shift():
    frame = SkyFrame(150.0, 60.0, 4096.5, 4096.5, -0.492 / 3600, 0.492 / 3600)
    grid = MergedGrid(150.2, 60.1)
    nominal = np.array([float(value) for value in frame.to_sky(150.2, 60.1)])
    place = (float(nominal[0]) + 1.5, float(nominal[1]) - 0.7)
    there = grid.to_observation(frame, place)
    back = grid.from_observation(frame, place, *there)
    side = 2 * HALF_WIDTH + 1
    assert back[:, side * HALF_WIDTH + HALF_WIDTH] == pytest.approx((4096.5, 4096.5), abs=1e-6)
    assert back[0].reshape(side, side)[0] == pytest.approx(4096.5 + np.arange(side) - HALF_WIDTH, abs=2e-3)
    # North is up on the grid, not in the other frame, which lies far away.
    step = there[:, -side] - there[:, 0]
    assert abs(step[0] / step[1]) > 1e-3
