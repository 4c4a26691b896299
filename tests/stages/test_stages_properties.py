"""Properties of extractions and merges in the database, limits at positions, and the styled exports."""

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import text

from catalog.calibration.factory import open_calibration
from catalog.errors import InputFileError, MissingFileError, SettingsError, UnknownNameError
from catalog.export.styles.acis_extract import acis_extract_files
from catalog.export.styles.srcflux import srcflux_files
from catalog.stages.base.recipe_store import stored_recipes
from catalog.stages.contents.limits import limits_at
from catalog.stages.engine.run import run
from catalog.stats.hardness import hardness_ratio
from catalog.store.arrays import unpack

OBSERVATION = """SHAPE X Y RA DEC R ROTANG COMPONENT COUNTS ERR_COUNTS AREA EXPOSURE COUNT_RATE COUNT_RATE_ERR
BG_COUNTS BG_ERR BG_AREA BG_EXPOSURE BG_RATE BG_SUR_BRI BG_SUR_BRI_ERR NET_COUNTS NET_ERR NET_RATE
ERR_RATE SUR_BRI SUR_BRI_ERR XPOS YPOS THETA PHI RAPOS DECPOS INSIDE_FOV NEAR_CHIP_EDGE CHIP_ID CHIPX
CHIPY PSFFRAC BG_PSFFRAC NET_RATE_APER NET_RATE_APER_LO NET_RATE_APER_HI SRC_SIGNIFICANCE FLUX_APER
BG_FLUX_APER SRC_PHOTFLUX BG_PHOTFLUX MEAN_SRC_EXP MEAN_BG_EXP NET_FLUX_APER NET_FLUX_APER_LO
NET_FLUX_APER_HI UPPER_LIMIT NET_PHOTFLUX_APER NET_PHOTFLUX_APER_LO NET_PHOTFLUX_APER_HI MFLUX_CNV
UMFLUX_CNV NET_MFLUX_APER NET_MFLUX_APER_LO NET_MFLUX_APER_HI NET_UMFLUX_APER NET_UMFLUX_APER_LO
NET_UMFLUX_APER_HI SRC_VAR_ODDS SRC_VAR_PROB SRC_VAR_INDEX""".split()  # noqa: SIM905
MERGED = """RAPOS DECPOS COMPONENT TOTAL_COUNTS TOTAL_BG_COUNTS NUM_OBI INSIDE_FOV MERGED_NET_RATE_APER
MERGED_NET_RATE_APER_LO MERGED_NET_RATE_APER_HI MERGED_RATE_AREASCAL PSF_WEIGHTED_TOTAL_EXPOSURE_TIME
MERGED_NET_APRATES_PHOTFLUX_APER MERGED_NET_APRATES_PHOTFLUX_APER_LO MERGED_NET_APRATES_PHOTFLUX_APER_HI
MERGED_PHOTFLUX_AREASCAL PSF_WEIGHTED_TOTAL_SRC_EXPOSURE PSF_WEIGHTED_TOTAL_BG_EXPOSURE
MERGED_NET_PHOTFLUX_APER MERGED_NET_PHOTFLUX_APER_LO MERGED_NET_PHOTFLUX_APER_HI MFLUX_CNV UMFLUX_CNV
MERGED_NET_MFLUX_APER MERGED_NET_MFLUX_APER_LO MERGED_NET_MFLUX_APER_HI MERGED_NET_UMFLUX_APER
MERGED_NET_UMFLUX_APER_LO MERGED_NET_UMFLUX_APER_HI TOTAL_FLUX_APER TOTAL_BG_FLUX_APER""".split()  # noqa: SIM905

JOINED = """SELECT e.source_id, e.chip_id, e.theta, e.phi, e.livetime, e.events_aper, e.events_aperbkg,
o.obs_id, o.decimal_year, b.band, b.lo, b.hi, m.*, p.*, h.hard_hs, h.hard_cnts_hs
FROM measurement_property p JOIN extraction e ON e.id = p.extraction_id
JOIN measurement m ON m.extraction_id = e.id AND m.band_id = p.band_id JOIN band b ON b.id = p.band_id
JOIN event_set es ON es.id = e.event_set_id JOIN observation o ON o.id = es.observation_id
LEFT JOIN observation_hardness h ON h.extraction_id = e.id ORDER BY m.cnts_aper DESC"""


def rows_of(project, statement):
    with project.store.read() as connection:
        return [row._mapping for row in connection.execute(text(statement))]


def test_columns_follow_from_events_and_areas(finished_project, copy_of):
    calibration = open_calibration()
    with copy_of(finished_project) as project:
        rows = rows_of(project, JOINED)
    assert len(rows) > 40
    for row in [row for row in rows if row["band"] == "broad"][:6]:
        energy, background = (unpack(row[name]).astype(float) for name in ("events_aper", "events_aperbkg"))
        assert row["net_cnts"] == pytest.approx(row["cnts_aper"] - row["cnts_aperbkg"] / row["bkg_ratio"])
        matrix = calibration.redistribution(row["chip_id"])
        middle = matrix.channel_energy
        place = (row["chip_id"], row["decimal_year"], row["theta"], row["phi"])
        area = calibration.area(*place, middle)
        inside = (energy >= row["lo"]) & (energy < row["hi"])
        own = energy[inside]
        raw = (own * 1.602176634e-9 / np.interp(own, middle, area)).sum() / row["livetime"]
        assert row["flux_aper_raw"] == pytest.approx(raw, rel=1e-9, abs=0)
        chosen = (middle >= row["lo"]) & (middle <= row["hi"])
        edges = np.append(matrix.channel_lo, matrix.channel_hi[-1])
        net = np.histogram(energy, edges)[0] - np.histogram(background, edges)[0] / row["bkg_ratio"]
        # The mean area holds the PSF fraction, which varies little over a band.
        plain = area[chosen].mean() * row["psf_good_frac_aper"]
        assert row["mean_arf"] == pytest.approx(plain * row["psf_frac_aper"], rel=0.05)
        flux2 = net[chosen].sum() / (row["mean_arf"] * row["livetime"])
        assert row["flux2_aper"] == pytest.approx(flux2, rel=1e-6)
        assert row["energyflux_aper"] == pytest.approx(
            flux2 * row["energ_pct50_observed"] * 1.602176634e-9, rel=1e-6, abs=0
        )
        assert row["lo"] < row["energ_pct25_observed"] < row["energ_pct75_observed"] < row["hi"]
        assert row["mflux_aper_hilim"] == pytest.approx(
            row["src_rate_aper_hilim"] * row["mflux_conversion"], rel=1e-6, abs=0
        )
        assert row["umflux_conversion"] == pytest.approx(row["mflux_conversion"], rel=1e-6, abs=0)
        assert -1 <= row["hard_hs"] <= 1
        if row["src_cnts_aper"] > 60:
            # A Gaussian: symmetric about its value.
            low, value, high = (row[f"src_rate_aprates{end}"] for end in ("_lolim", "", "_hilim"))
            assert high - value == pytest.approx(value - low)


def test_hardness_compares_the_measurements_of_two_bands(finished_project, copy_of):
    ends = ("", "_lolim", "_hilim")
    fluxes, counts = ([f"hard_{kind}{end}" for end in ends] for kind in ("hs", "cnts_hs"))
    with copy_of(finished_project) as project:
        rows = rows_of(
            project,
            "SELECT e.id, b.band, e.livetime, m.*, k.merge_id, "
            + ", ".join(f"h.{name}" for name in (*fluxes, *counts))
            + ", "
            + ", ".join(f"g.{name} AS merged_{name}" for name in fluxes)
            + " FROM measurement m JOIN band b ON b.id = m.band_id"
            " JOIN extraction e ON e.id = m.extraction_id"
            " JOIN observation_hardness h ON h.extraction_id = e.id"
            " JOIN merge_member k ON k.extraction_id = e.id AND k.used"
            " JOIN merge g ON g.id = k.merge_id AND g.purpose = 'photometry'",
        )
    alone = {row["extraction_id"] for row in rows if row["joint_cnts_aperbkg"] is None}

    def factors(row, of_flux):
        unit = row["area_band"] * row["livetime"] * row["psf_good_frac_aper"] if of_flux else 1.0
        seen = row["psf_frac_aperbkg"] * row["psf_good_frac_aperbkg"] / row["psf_good_frac_aper"]
        return (
            row["cnts_aper"],
            row["cnts_aperbkg"],
            row["psf_frac_aper"] * unit,
            seen * unit,
            row["bkg_ratio"],
        )

    def expected(members, of_flux):
        bands = (
            [row for row in members if row["band"] == "hard"],
            [row for row in members if row["band"] == "soft"],
        )
        columns = (zip(*(factors(row, of_flux) for row in band), strict=True) for band in bands)
        found = hardness_ratio(*(tuple(np.array(values) for values in band) for band in columns))
        return [float(found.mode), float(found.lolim), float(found.hilim)]

    checked = 0
    for key, prefix in (("extraction_id", ""), ("merge_id", "merged_")):
        for number in sorted({row[key] for row in rows}):
            members = [row for row in rows if row[key] == number]
            if not {row["extraction_id"] for row in members} <= alone:
                continue
            found = [members[0][prefix + name] for name in fluxes]
            assert found == pytest.approx(expected(members, True), abs=1e-6)
            if not prefix:
                found = [members[0][name] for name in counts]
                assert found == pytest.approx(expected(members, False), abs=1e-6)
            checked += len(members) > 4
    assert checked >= 4


def test_a_merge_of_one_observation_is_that_observation(finished_project, copy_of):
    names = [
        "net_cnts",
        "mean_arf",
        "flux1_aper",
        "flux2_aper",
        "energ_pct50_observed",
        "energ_mean_incident",
    ]
    names += ["flux_aper_raw", "mflux_conversion", "mflux_aper", "umflux_aper_hilim"]
    with copy_of(finished_project) as project:
        pairs = rows_of(
            project,
            "SELECT " + ", ".join(f"p.{name}, q.{name} AS merged_{name}" for name in names) + ", h.hard_hm,"
            " g.hard_hm AS merged_hard_hm, m.src_rate_aper, q.merged_net_rate_aper, m.cnts_aper, g.n_obs"
            " FROM merged_property q JOIN merge g ON g.id = q.merge_id"
            " JOIN merge_member mm ON mm.merge_id = g.id AND mm.used"
            " JOIN measurement_property p ON p.extraction_id = mm.extraction_id AND p.band_id = q.band_id"
            " JOIN measurement m ON m.extraction_id = mm.extraction_id AND m.band_id = q.band_id"
            " LEFT JOIN observation_hardness h ON h.extraction_id = mm.extraction_id",
        )
    single = [row for row in pairs if row["n_obs"] == 1]
    several = [row for row in pairs if row["n_obs"] > 1]
    assert len(single) >= 4
    assert len(several) >= 8
    for row in single:
        for name in [*names, "hard_hm"]:
            if row[name] is None:
                assert row[f"merged_{name}"] is None
            else:
                assert row[f"merged_{name}"] == pytest.approx(row[name], rel=1e-9, abs=0), name
        assert row["merged_net_rate_aper"] == pytest.approx(row["src_rate_aper"], rel=0.15, abs=2e-5)


def test_hydrogen_columns_of_a_table(finished_project, copy_of, small_field, tmp_path):
    table = tmp_path / "nh.csv"
    table.write_text(f"ra,dec,nh\n{float(small_field.ra[0])!r},{float(small_field.dec[0])!r},2.0\n")
    with copy_of(finished_project, f'[spectrum]\nnh_table = "{table}"\n') as project:
        run(project, ("properties", "merged_properties"), workers=1)
        rows = rows_of(project, JOINED)
        ids = {row["source_id"] for row in rows if row["model_nh"] == 2e22}
        assert len(ids) == 1
        for row in rows:
            ratio = row["umflux_conversion"] / row["mflux_conversion"]
            assert (ratio > 1.2) if row["source_id"] in ids and row["band"] == "soft" else ratio >= 1
        table.write_text("ra,dec\n1,2\n")
        with pytest.raises(InputFileError, match="nh"):
            run(project, workers=1)
        table.write_text("ra,dec,nh\n1,2,-1\n")
        with pytest.raises(InputFileError, match="negative"):
            run(project, workers=1)
        table.unlink()
        with pytest.raises(MissingFileError):
            run(project, workers=1)


def test_limits_at_positions(finished_project, copy_of, small_field):
    with copy_of(finished_project) as project:
        before = rows_of(project, "SELECT count(*) AS n FROM source")[0]["n"]
        ra, dec = float(small_field.ra[3]), float(small_field.dec[3])
        rows = limits_at(project, ra, dec, "default")
        stored = rows_of(
            project,
            "SELECT d.obs_id, d.band, d.photflux_limit, d.photflux_aper_hilim, d.cnts_aper FROM detections d"
            f" WHERE abs(d.ra - {ra!r}) < 1e-6 AND d.photflux_limit IS NOT NULL",
        )
        assert len(stored) >= 4
        found = {(row.obs_id, row.band): row for row in rows}
        for row in stored:
            limit = found[row["obs_id"], row["band"]]
            assert limit.cnts_aper == row["cnts_aper"]
            assert limit.photflux_limit == pytest.approx(row["photflux_limit"], rel=1e-6)
            assert limit.photflux_hilim == pytest.approx(row["photflux_aper_hilim"], rel=1e-6)
        single = [row for row in rows if row.band == "broad" and row.obs_id != "all"]
        both = [row for row in rows if row.band == "broad" and row.obs_id == "all"]
        if len(single) > 1:
            assert both[0].photflux_limit < min(row.photflux_limit for row in single)
        assert limits_at(project, 20.0, 20.0, "default") == []
        assert rows_of(project, "SELECT count(*) AS n FROM source")[0]["n"] == before
        with pytest.raises(UnknownNameError):
            limits_at(project, 20.0, 20.0, "none")


def test_srcflux_style(finished_project, copy_of, tmp_path):
    with copy_of(finished_project) as project, project.store.read() as connection:
        recipe = stored_recipes(connection, ["default"])[0].recipe
        written = srcflux_files(connection, recipe, tmp_path / "out")
        sources = connection.execute(text("SELECT count(*) FROM source")).scalar()
    names = {path.name for path in written}
    assert {"out_obi001_broad.flux", "out_obi002_soft.flux", "out_hard.flux"} <= names
    assert len(names) == 12
    with fits.open(tmp_path / "out_obi001_broad.flux", checksum=True) as hdus:
        table, header = hdus[1].data, hdus[1].header
        assert hdus[1].columns.names == OBSERVATION
        assert (header["EMIN"], header["EMAX"], header["ENERGY"]) == (0.5, 7.0, 2.3)
        assert header["CONF"] == 0.68
        assert header["HDUCLAS1"] == "REGION"
        seen = table["INSIDE_FOV"] & (table["COUNTS"] > 5)
        good = table[seen]
        assert len(good) > 2
        net = good["COUNTS"] - good["BG_COUNTS"] * good["AREA"] / good["BG_AREA"]
        assert good["NET_COUNTS"] == pytest.approx(net)
        r = good["BG_AREA"] / good["AREA"]
        flux = (r * good["FLUX_APER"] - good["BG_FLUX_APER"]) / (r * good["PSFFRAC"] - good["BG_PSFFRAC"])
        assert good["NET_FLUX_APER"] == pytest.approx(
            np.where(flux < 0, np.nan, flux), rel=1e-6, abs=0, nan_ok=True
        )
        assert good["NET_MFLUX_APER"] == pytest.approx(
            good["NET_RATE_APER"] * good["MFLUX_CNV"], rel=1e-6, abs=0
        )
        assert np.isnan(table["NET_RATE_APER"][~table["INSIDE_FOV"]]).all()
        # X and Y lead back to the positions through the header's coordinate system.
        i = OBSERVATION.index("X") + 1
        dx = np.radians((good["X"] - header[f"TCRPX{i}"]) * header[f"TCDLT{i}"])
        assert header[f"TCRVL{i}"] + np.degrees(dx) / np.cos(
            np.radians(header[f"TCRVL{i + 1}"])
        ) == pytest.approx(good["RAPOS"], abs=2e-3)
    merged = fits.getdata(tmp_path / "out_broad.flux", 1)
    assert list(merged.names) == MERGED
    assert len(merged) == sources
    two = merged[merged["NUM_OBI"] == 2]
    assert len(two) > 2
    assert two["MERGED_NET_MFLUX_APER"] == pytest.approx(
        two["MERGED_NET_RATE_APER"] * two["MFLUX_CNV"], rel=1e-6, abs=0, nan_ok=True
    )


def test_acis_extract_style(finished_project, copy_of, tmp_path):
    with copy_of(finished_project) as project, project.store.read() as connection:
        recipe = stored_recipes(connection, ["default"])[0].recipe
        flat, photometry = acis_extract_files(connection, recipe, tmp_path / "ae")
    with fits.open(flat, checksum=True) as hdus:
        table = hdus[1].data
        assert hdus[1].header["BAND_T"] == "broad 0.5-7 keV"
        for name in (
            "SrcCounts_t",
            "NetCounts_s",
            "MedianEnergy_h",
            "PhotonFlux_t",
            "EnergyFlux_t",
            "ProbNoSrc_min",
        ):
            assert name in table.names
        seen = np.isfinite(table["EnergyFlux_t"])
        assert seen.sum() > 3
        # The checks that a row allows (acis-extract.md 7.1).
        assert table["EnergyFlux_t"][seen] == pytest.approx(
            1.602176634e-9 * table["PhotonFlux_t"][seen] * table["MedianEnergy_t"][seen],
            rel=1e-6,
            abs=0,
        )
        assert (table["SrcCounts_t"][seen] >= table["NetCounts_t"][seen]).all()
        counted = table["BkgCounts_t"] > 0
        scaled = table["BkgCounts_t"][counted] / table["BkgScaling_t"][counted]
        assert table["SrcCounts_t"][counted] - scaled == pytest.approx(table["NetCounts_t"][counted])
        prob = np.fmin(np.fmin(table["ProbNoSrc_t"], table["ProbNoSrc_s"]), table["ProbNoSrc_h"])
        assert table["ProbNoSrc_min"] == pytest.approx(prob, nan_ok=True)
    rows = fits.getdata(photometry, 1)
    assert len(rows) == 4 * len(table)
    good = rows[np.isfinite(rows["FLUX2"])]
    assert good["SRC_SIGNIF"] == pytest.approx(good["NET_CNTS"] / good["NET_CNTS_SIGMA_UP"])


def test_acis_extract_style_needs_one_of_its_bands(empty_project, copy_of, tmp_path):
    with copy_of(empty_project) as project, project.store.read() as connection:
        recipe = stored_recipes(connection, ["default"])[0].recipe
        with pytest.raises(SettingsError):
            acis_extract_files(connection, recipe, tmp_path / "ae")


def test_merges_for_validity(finished_project, copy_of):
    with copy_of(finished_project) as project:
        rows = rows_of(
            project,
            "SELECT g.source_id, g.n_obs, b.band, q.cnts_aper, q.log10_prob_no_source AS chosen,"
            " t.log10_prob_no_source AS every, t.cnts_aper AS all_cnts, a.n_obs AS all_obs"
            " FROM merge g JOIN merged_measurement q ON q.merge_id = g.id JOIN band b ON b.id = q.band_id"
            " JOIN merge a ON a.source_id = g.source_id AND a.recipe_id = g.recipe_id"
            " JOIN merged_measurement t ON t.merge_id = a.id AND t.band_id = q.band_id"
            " WHERE g.purpose = 'validity' AND a.purpose = 'photometry'",
        )
        used = dict(
            rows_of_pairs(
                project,
                "SELECT g.source_id, sum(CASE WHEN mm.used THEN 1 ELSE 0 END) FROM merge g"
                " JOIN merge_member mm ON mm.merge_id = g.id"
                " WHERE g.purpose = 'validity' GROUP BY g.source_id",
            )
        )
        again = rows_of(project, "SELECT count(*) AS n FROM catalog")[0]["n"]
        assert again == rows_of(project, "SELECT count(*) AS n FROM source")[0]["n"]
    assert len(rows) >= 40
    for row in rows:
        assert row["n_obs"] == used[row["source_id"]] <= row["all_obs"]
        assert row["cnts_aper"] <= row["all_cnts"]
        # Of all subsets in the order tried the best is kept: never worse than all together, once there are
        # counts enough to choose.
        if row["band"] == "broad" and row["cnts_aper"] >= 3 and row["n_obs"] == 1:
            assert row["chosen"] <= row["every"] + 1e-9


def rows_of_pairs(project, statement):
    with project.store.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]
