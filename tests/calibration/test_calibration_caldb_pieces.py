"""Uniformity, contamination over the chip, PSF radii and redistributions of a CALDB made for these tests."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from scipy.integrate import quad

from catalog.calibration import caldb_tables
from catalog.calibration.builtin import open_builtin_redistribution
from catalog.calibration.caldb import listing, live_share
from catalog.calibration.caldb_index import choose, read_caldb_index
from catalog.calibration.factory import open_calibration
from catalog.calibration.instrument_setup import InstrumentSetup, instrument_setup, usual_setup
from catalog.calibration.psf import open_psf_library
from catalog.calibration.rmf_file import write_rmf
from catalog.errors import CalibrationError
from catalog.events.event_list import read_event_header, read_event_list

YEAR = 365.25 * 86400.0
ACIS, TEL = "data/chandra/acis", "data/chandra/default"
COLD, WARM = "FP_TEMP(151.15-158.15)", "FP_TEMP(158.16-168.15)"


def write_index(path, rows):
    """rows: instrument, folder, file, kind, bounds, extension, start."""
    table = Table(
        rows=[
            (a, b, c, d, list(e) + ["NONE"] * (9 - len(e)), f, Time(g).mjd, 0) for a, b, c, d, e, f, g in rows
        ],
        names=("INSTRUME", "CAL_DIR", "CAL_FILE", "CAL_CNAM", "CAL_CBD", "CAL_XNO", "REF_TIME", "CAL_QUAL"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write(path, format="fits", overwrite=True)


def write_table(path, keywords=None, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.BinTableHDU(Table(columns))
    hdu.header.update(keywords or {})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def uniformity(slope):
    """Images of 32 x 32 tiles: 1 at 1 keV, 1 + slope x CHIPX at 3 keV."""
    centre = 16.5 + 32 * np.arange(32)
    return np.array([np.ones((32, 32)), np.broadcast_to(1 + slope * centre, (32, 32))])


def radii(theta, energy, fraction):
    """Radii in arcsec by a law of my own: a Gaussian that widens with angle and energy."""
    return (0.4 + 0.1 * theta**2 / 4 + 0.05 * energy) * np.sqrt(-2 * np.log1p(-np.asarray(fraction)))


THETA, PHI = np.array([0.0, 2.0, 4.0, 8.0, 12.0, 16.0]), np.arange(0.0, 360.0, 90.0)
ENERGY, ECF = np.array([0.3, 1.5, 4.5, 8.0, 9.0]), np.linspace(0.05, 0.99, 48)


@pytest.fixture
def tree(tmp_path, data_dir):
    """QE, vignetting, geometry and aimpoints are real files; the rest is made here."""
    sources, root = data_dir / "calibration" / "sources", tmp_path / "caldb"
    edges = np.linspace(0.1, 12.0, 120)
    write_table(
        root / TEL / "axeffa/hrmaD1996-12-20axeffaN0008.fits",
        ENERG_LO=edges[:-1], ENERG_HI=edges[1:], EFFAREA=np.full(119, 600.0),
    )  # fmt: skip
    copies = {
        "vignet": "chandra_vignet.fits.gz", "qe": "acisD1997-04-17qeN0006.fits.gz",
        "geom": "telD1999-07-23geomN0006.fits", "aimpts": "telD1999-07-23aimptsN0002.fits",
    }  # fmt: skip
    for kind, name in copies.items():
        folder = root / (ACIS if kind == "qe" else TEL) / kind
        folder.mkdir(parents=True)
        shutil.copy(sources / name, folder / name)
    time = YEAR * np.array([[2.0, 12.0, 22.0]])
    grid = np.broadcast_to(4 * np.arange(256) + 2.5, (256, 256))
    write_table(
        root / ACIS / "contam/acisD1999-08-13contamN0015.fits",
        COMPONENT=[0, 0], WEIGHT=[1.0, 1.0], N_ENERGY=[2, 2], N_TIME=[3, 3],
        ENERGY=np.array([[0.1, 10.0, 0.0]] * 2), MU=np.array([[1.0, 1.0, 9.0], [0.5, 0.5, 9.0]]),
        TIME=np.repeat(time, 2, axis=0), TAU0=np.array([[0.0, 0.2, 0.4]] * 2),
        TAU1=np.array([[0.0, 0.1, 0.3], [0.0, 0.0, 0.0]]), FXY=np.array([grid, grid]) / 1024,
    )  # fmt: skip
    for name, slope in (
        ("2000-01-29qeuN0006", 0.0),
        ("2010-01-01qeuN0007", 1e-4),
        ("1999-09-16qeuN0002", 3e-4),
    ):
        write_table(root / ACIS / f"qeu/acisD{name}.fits", ENERGY=[1.0, 3.0], QEU=uniformity(slope))
    values = np.array([[[radii(t, e, ECF) for e in ENERGY] for _ in PHI] for t in THETA])
    write_table(
        root / TEL / "reef/hrmaD1996-12-20reefN0001.fits", {"CREF5": "(ECF,THETA,ENERGY,PHI)"},
        ECF=ECF[None], THETA=THETA[None], PHI=PHI[None], ENERGY=ENERGY[None],
        RADIUS=values.transpose(1, 2, 0, 3)[None],
    )  # fmt: skip
    rows = [
        (
            "TEL",
            f"{TEL}/axeffa",
            "hrmaD1996-12-20axeffaN0008.fits",
            "AXEFFA",
            ["SHELL(1111)"],
            1,
            "1996-12-20",
        ),
        ("TEL", f"{TEL}/vignet", copies["vignet"], "VIGNET", ["SHELL(1111)"], 1, "1996-12-20"),
        ("TEL", f"{TEL}/geom", copies["geom"], "GEOM", [], 2, "1999-07-23"),
        ("TEL", f"{TEL}/aimpts", copies["aimpts"], "AIMPTS", [], 1, "1999-07-23"),
        ("TEL", f"{TEL}/reef", "hrmaD1996-12-20reefN0001.fits", "REEF", [], 1, "1996-12-20"),
    ]
    write_index(root / TEL / "caldb.indx", rows)
    write_index(root / ACIS / "caldb.indx", acis_rows(copies["qe"]))
    return root


def acis_rows(quantum):
    contam = "acisD1999-08-13contamN0015.fits"
    rows = [("ACIS", f"{ACIS}/qe", quantum, "QE", [f"CCD_ID({k})"], k + 1, "1997-04-17") for k in range(10)]
    rows.append(("ACIS", f"{ACIS}/contam", contam, "CONTAM", ["CCD_ID(0-9)"], 1, "1999-08-13"))
    for name, bounds in (
        ("2000-01-29qeuN0006", ["CCD_ID(0-9)", COLD]),
        ("2010-01-01qeuN0007", ["CCD_ID(0-9)", COLD]),
        ("1999-09-16qeuN0002", ["CCD_ID(0-9)", WARM]),
    ):
        rows.append(("ACIS", f"{ACIS}/qeu", f"acisD{name}.fits", "QEU", bounds, 1, name[:10]))
    return rows


def setup(**changes):
    known = {"obs_id": "1", "sim_x": -0.7823, "sim_y": 0.0, "sim_z": -233.5925, "fp_temp": 153.4}
    return InstrumentSetup(**{**known, **changes})


def hdu_data(data_dir, name, extension):
    return fits.getdata(data_dir / "calibration/sources" / name, extension)


def test_places_on_chips_are_those_of_real_events(data_dir):
    path = data_dir / "real/acis/acisf11831_repro_evt2.fits.gz"
    header, events = read_event_header(path), read_event_list(path)
    own = instrument_setup(header)
    assert (own.fp_temp, own.cti_corrected, own.datamode) == (pytest.approx(153.3, abs=1.0), True, "VFAINT")
    for chip in (0, 1, 2, 3):
        here = np.flatnonzero(events.ccd_id == chip)[::50]
        detx, dety = events.detx[here], events.dety[here]
        theta = np.degrees(np.arctan(np.hypot(detx - 4096.5, dety - 4096.5) * np.radians(1.36666667e-4))) * 60
        phi = np.degrees(np.arctan2(dety - 4096.5, detx - 4096.5))
        chipx, chipy = own.chip_pixels(chip, theta, phi)
        for away in (chipx - events.chipx[here], chipy - events.chipy[here]):
            # Detector coordinates hold the place within the pixel, chip pixels do not.
            assert np.abs(away).max() < 1.0
            assert abs(away.mean()) < 0.1


def test_usual_aimpoints_are_those_of_the_aimpoint_file(data_dir):
    rows = {
        row["AIMPOINT_NAME"].strip(): row["AIMPOINT"]
        for row in hdu_data(data_dir, "telD1999-07-23aimptsN0002.fits", 1)
    }
    for chip, name, low, high in ((3, "AI2", (930, 930), (1010, 1010)), (7, "AS1", (200, 480), (280, 540))):
        own = usual_setup(chip)
        assert np.allclose((own.sim_x, own.sim_y, own.sim_z), rows[name], atol=0.11)
        chipx, chipy = own.chip_pixels(chip, 0.0, 0.0)
        assert low[0] < chipx < high[0]
        assert low[1] < chipy < high[1]


def test_uniformity_by_place_energy_date_and_temperature(tree, data_dir):
    base = open_calibration("caldb", caldb=tree)
    quantum = hdu_data(data_dir, "acisD1997-04-17qeN0006.fits.gz", 4)
    energy = np.array([1.0, 2.0, 3.0, 5.0])
    clean = 600 * np.interp(energy, quantum["ENERGY"], quantum["QE"])
    share = np.array([0.0, 0.5, 1.0, 1.0])
    cold, warm = setup(), setup(fp_temp=163.0)
    # On I3, away from the tiles at the edge, where the linear law ends, and from its diagonal.
    chipx, chipy = cold.chip_pixels(3, 5.0, 60.0)
    assert abs(chipx - chipy) > 200
    table = hdu_data(data_dir, "chandra_vignet.fits.gz", 1)[0]
    at = list(table["PHI"]).index(60), list(table["THETA"]).index(5)
    middle = 0.5 * (table["ENERG_LO"] + table["ENERG_HI"])
    vignetting = np.interp(energy, middle, table["VIGNET"].reshape(12, 10, 100)[at])
    # No contamination at 2000.0, two layers at 2015.0: (0.26 + 0.16 x/1024) + 0.5 0.26.
    for here, year, slope in ((cold, 2000.1, 0.0), (warm, 2000.1, 3e-4), (cold, 2015.0, 1e-4)):
        ours = base.in_observation(here, year).area(3, year, 5.0, 60.0, energy) / vignetting
        since = year - 2000.0
        even = np.interp(since, [0, 10, 20], [0.0, 0.2, 0.4])
        uneven = np.interp(since, [0, 10, 20], [0.0, 0.1, 0.3])
        depth = 1.5 * even + uneven * chipx / 1024
        # 2.2 % of the area is dead at the read-out, 4 % at the other end.
        dead = 0.022 + 0.018 * (chipy - 1) / 1023
        expected = clean * (1 + share * slope * chipx) * np.exp(-depth) * (1 - dead)
        assert np.allclose(ours, expected, rtol=3e-3), (year, slope)
    # On I3 CHIPX falls with azimuth 0; a row of positions gives a row of areas.
    many = base.in_observation(cold, 2015.0).area(3, 2015.0, np.linspace(0, 6, 7), 250.0, energy)
    assert many.shape == (7, 4)


def test_a_file_of_another_form_is_found_before_it_is_used(tree):
    base = open_calibration("caldb", caldb=tree)
    base.in_observation(setup(), 2012.0)
    path = tree / ACIS / "qeu/acisD2000-01-29qeuN0006.fits"
    write_table(path, ENERGY=[1.0, 3.0], UNIFORMITY=np.ones((2, 4, 4)))
    with pytest.raises(CalibrationError, match="no column QEU") as caught:
        base.in_observation(setup(), 2005.0)
    assert caught.value.code == "CALDB_FILE"


def test_an_image_of_every_pixel_is_that_of_its_tiles(tree):
    """1024 x 1024 numbers, with a gradient along both axes."""
    path = tree / ACIS / "qeu/acisD2010-01-01qeuN0007.fits"
    base = open_calibration("caldb", caldb=tree)
    row, column = np.indices((1024, 1024)) + 1.0
    image = 1 - 2e-4 * row - 1e-4 * column
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image)]).writeto(path, overwrite=True)
    own = setup()
    chipx, chipy = own.chip_pixels(3, 5.0, 60.0)
    here = base.in_observation(own, 2012.0)
    ours = here.area(3, 2012.0, 5.0, 60.0, [1.0, 4.0])
    write_table(path, ENERGY=[1.0, 3.0], QEU=np.ones((2, 1, 1)))
    caldb_tables.uniformity.cache_clear()
    factor = ours / here.area(3, 2012.0, 5.0, 60.0, [1.0, 4.0])
    assert np.allclose(factor, 1 - 2e-4 * chipy - 1e-4 * chipx, rtol=1e-5)


def test_dead_area_by_chip_row_and_frame():
    rows = np.array([1.0, 512.5, 1024.0])
    assert np.allclose(1 - live_share(3, rows, None), [0.022, 0.031, 0.040], atol=3e-4)
    assert np.array_equal(live_share(7, rows, None), np.ones(3))
    # A quarter subarray of 0.8 s: its first row is read at once, its last after a quarter of the reading.
    quick = setup(exposure_time=0.8, first_row=385)
    lost = 1 - live_share(2, np.array([385.0, 640.0]), quick)
    assert np.allclose(lost, 0.006508 * np.array([0.98, 0.98 + 2.77 / 4]), rtol=5e-3)


def test_uniformity_with_its_own_chip_pixels(tree):
    path = tree / ACIS / "qeu/acisD2010-01-01qeuN0007.fits"
    # Two columns, centred on CHIPX 100 and 900.
    images = np.array([[[0.5, 1.0]], [[0.5, 1.0]]])
    keys = {"1CRPX2": 1.0, "1CRVL2": 100.0, "1CDLT2": 800.0}
    write_table(path, keys, ENERGY=[1.0, 3.0], QEU=images)
    own = setup()
    chipx, _ = own.chip_pixels(3, 4.0, 100.0)
    assert 150 < chipx < 850
    factor = np.interp(chipx, [100.0, 900.0], [0.5, 1.0])
    with_map = open_calibration("caldb", caldb=tree).in_observation(own, 2012.0)
    ours = with_map.area(3, 2012.0, 4.0, 100.0, [2.0])
    write_table(path, ENERGY=[1.0, 3.0], QEU=np.ones((2, 1, 1)))
    fresh = read_caldb_index(tree)
    caldb_tables.uniformity.cache_clear()
    assert choose(fresh, "QEU", 2012.0, CCD_ID=3, FP_TEMP=153.0).version == "N0007"
    assert float((ours / with_map.area(3, 2012.0, 4.0, 100.0, [2.0]))[0]) == pytest.approx(factor, rel=1e-6)


def test_radii_are_those_of_the_reef(tree):
    psf = open_calibration("caldb", caldb=tree).psf
    # At a node of the file in angle and energy; the packaged energies are nodes of the library.
    for theta, fraction in ((0.0, 0.5), (4.0, 0.9), (8.0, 0.393)):
        energy = np.log(1.497)
        share = (energy - np.log(0.3)) / (np.log(1.5) - np.log(0.3))
        expected = radii(theta, 0.3 + share * 1.2, fraction)
        assert float(psf.radius(theta, 77.0, 1.497, fraction)) == pytest.approx(float(expected), rel=5e-3)
    assert psf.with_blur(0.3) is psf
    assert "reefN0001" in psf.identity
    # Beyond the last fraction as 1/r, and images hold what the radii say.
    last = float(psf.radius(4.0, 0.0, 1.5, 0.99))
    assert float(psf.radius(4.0, 0.0, 1.5, 0.998)) == pytest.approx(5 * last, rel=0.02)
    stamp = psf.stamp(8.0, 45.0, 1.5, 30.0)
    distance = np.hypot(*np.meshgrid(stamp.dx, stamp.dy))
    inside = stamp.image[distance < float(radii(8.0, 1.5, 0.7))].sum()
    assert inside == pytest.approx(0.7, abs=0.02)
    assert open_psf_library().identity not in psf.identity


def test_axes_of_radii_that_cannot_be_told(tree):
    path = tree / TEL / "reef/hrmaD1996-12-20reefN0001.fits"
    cube = np.ones((1, 4, 4, 4, 4))
    four = np.arange(1.0, 5.0)[None]
    write_table(path, ECF=four / 5, THETA=four, PHI=90 * four, ENERGY=four, RADIUS=cube)
    with pytest.raises(CalibrationError, match="cannot be told") as caught:
        open_calibration("caldb", caldb=tree)
    assert caught.value.code == "CALDB_FILE"


def embedded(path, chips, gain):
    """Functions of two Gaussians: the line, and a tail of a tenth of its height at half the channel."""
    node = np.array([0.2, 1.0, 4.0, 8.0, 12.5])
    tiles = [(chip, low, low + 255, 1, 1024) for chip in chips for low in range(1, 1024, 256)]
    rows = [(*tile, energy) for tile in tiles for energy in node]
    chip, x_lo, x_hi, y_lo, y_hi, energy = (np.array(column) for column in zip(*rows, strict=True))
    channel = gain * energy
    write_table(
        path, CCD_ID=chip, CHIPX_LO=x_lo, CHIPX_HI=x_hi, CHIPY_LO=y_lo, CHIPY_HI=y_hi, REGNUM=x_lo,
        ENERGY=energy, CHANNEL=channel, G1_FWHM=20 + 4 * energy, G1_POS=channel, G1_AMPL=np.ones(chip.size),
        G2_FWHM=np.full(chip.size, 60.0), G2_POS=channel / 2, G2_AMPL=np.full(chip.size, 0.1),
    )  # fmt: skip


def test_embedded_functions_against_quadrature(tree):
    name = "acisD2000-01-29fef_pha_ctiN0004.fits"
    embedded(tree / ACIS / "fef_pha" / name, (0, 1, 2, 3, 6), 230.0)
    row = ("ACIS", f"{ACIS}/fef_pha", name, "FEF_PHA", ["CCD_ID(0-3,6)", COLD], 1, "2000-01-29")
    write_index(tree / ACIS / "caldb.indx", [*acis_rows("acisD1997-04-17qeN0006.fits.gz"), row])
    found = open_calibration("caldb", caldb=tree).in_observation(setup(cti_corrected=True), 2012.0)
    ours, packaged = found.redistribution(3), open_builtin_redistribution(False)
    assert found.redistribution(5) is open_builtin_redistribution(True)
    assert np.allclose(ours.matrix.sum(axis=1), 1.0, atol=1e-5)
    for energy in (1.5, 6.0):
        at = int(np.argmin(np.abs(ours.energy - energy)))
        true = ours.energy[at]
        line, width = 230.0 * true, (20 + 4 * true) / 2.3548

        def density(pulse_height, line=line, width=width):
            tail = 0.1 * np.exp(-0.5 * ((pulse_height - line / 2) * 2.3548 / 60) ** 2)
            return np.exp(-0.5 * ((pulse_height - line) / width) ** 2) + tail

        total = quad(density, 0, 4096, points=[line / 2, line], limit=200)[0]
        for offset in (-60, 0, 7):
            channel = int(true / 0.0146) + offset
            limits = 230.0 * packaged.channel_lo[channel], 230.0 * packaged.channel_hi[channel]
            expected = quad(density, *limits)[0] / total
            assert float(ours.matrix[at, channel]) == pytest.approx(expected, rel=2e-3, abs=1e-7)
    main, tail = width * 2.3548, 0.1 * 60.0
    mean = float(ours.matrix[at] @ ours.channel_energy)
    assert mean == pytest.approx(true * (main + 0.5 * tail) / (main + tail), rel=2e-3)


def test_embedded_functions_of_another_correction_are_left(tree):
    name = "acisD2000-01-29fef_phaN0005.fits"
    embedded(tree / ACIS / "fef_pha" / name, range(10), 230.0)
    row = ("ACIS", f"{ACIS}/fef_pha", name, "FEF_PHA", ["CCD_ID(0-9)", COLD], 1, "2000-01-29")
    write_index(tree / ACIS / "caldb.indx", [*acis_rows("acisD1997-04-17qeN0006.fits.gz"), row])
    base = open_calibration("caldb", caldb=tree)
    packaged = open_builtin_redistribution(False)
    assert base.in_observation(setup(cti_corrected=True), 2012.0).redistribution(3) is packaged
    assert (
        base.in_observation(setup(cti_corrected=False, fp_temp=163.0), 2012.0).redistribution(3) is packaged
    )
    own = base.in_observation(setup(cti_corrected=False), 2012.0).redistribution(3)
    assert name in own.identity


def test_ready_matrices_of_all_chips(tree):
    folder = tree / ACIS / "rmf"
    folder.mkdir()
    rows = []
    for chip in range(10):
        write_rmf(folder / f"chip{chip}N0001.rmf", open_builtin_redistribution(chip != 3))
        rows.append(
            ("ACIS", f"{ACIS}/rmf", f"chip{chip}N0001.rmf", "MATRIX", [f"CCD_ID({chip})"], 1, "1999-01-01")
        )
    write_index(tree / ACIS / "caldb.indx", [*acis_rows("acisD1997-04-17qeN0006.fits.gz"), *rows])
    found = open_calibration("caldb", caldb=tree)
    front, back = (open_builtin_redistribution(kind).band_probability(0.5, 2.0) for kind in (False, True))
    assert np.allclose(found.redistribution(3).band_probability(0.5, 2.0), front, atol=1e-4)
    assert np.allclose(found.redistribution(1).band_probability(0.5, 2.0), back, atol=1e-4)
    (folder / "chip4N0001.rmf").rename(folder / "chip4N0002.rmf")
    index = [(*row[:2], row[2].replace("chip4N0001", "chip4N0003"), *row[3:]) for row in rows]
    write_index(tree / ACIS / "caldb.indx", [*acis_rows("acisD1997-04-17qeN0006.fits.gz"), *index])
    with pytest.raises(CalibrationError, match="cannot be used") as caught:
        open_calibration("caldb", caldb=tree)
    assert caught.value.code == "CALDB_FILE"


def test_the_users_area_and_matrix_stay(tree, data_dir):
    rmf = data_dir / "calibration/sources/acisi_aimpt_cy21.rmf.gz"
    mine = open_calibration("caldb", rmf=rmf, caldb=tree)
    inside = mine.in_observation(setup(), 2012.0)
    assert inside.redistribution(3).identity == mine.redistribution(3).identity
    assert "cy21" in inside.identity
    assert inside.area_model.setup == setup()


def test_bounds_of_numbers_ranges_and_texts(tree):
    entries = read_caldb_index(tree)
    assert choose(entries, "QEU", 2005.0, CCD_ID=3, FP_TEMP=153.0).version == "N0006"
    assert choose(entries, "QEU", 2012.0, CCD_ID=3, FP_TEMP=163.0).version == "N0002"
    assert choose(entries, "QEU", 2012.0, CCD_ID=3, FP_TEMP=173.0) is None
    assert choose(entries, "QEU", 2012.0, CCD_ID=3, FP_TEMP=None).version == "N0007"
    assert {row[0]: row[2:] for row in listing(entries)}["REEF"] == ("N0001", "PSF radii")
