"""Every column that the two systems print is exported, or the docs say why not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from catalog.export.styles.acis_extract import acis_extract_files
from catalog.export.styles.merged_places import _share_left_out
from catalog.export.styles.spectral_models import model_columns
from catalog.export.styles.srcflux import srcflux_files
from catalog.recipes.shipped import shipped_recipes

DOCS = Path(__file__).parents[2] / "docs" / "photometry.md"


def with_ends(*names: str) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_LO", "_HI")]


SRCFLUX = [
    *("SHAPE", "X", "Y", "RA", "DEC", "R", "ROTANG", "COMPONENT", "COUNTS", "ERR_COUNTS", "AREA", "EXPOSURE"),
    *("COUNT_RATE", "COUNT_RATE_ERR", "BG_COUNTS", "BG_ERR", "BG_AREA", "BG_EXPOSURE", "BG_RATE"),
    *("BG_SUR_BRI", "BG_SUR_BRI_ERR", "NET_COUNTS", "NET_ERR", "NET_RATE", "ERR_RATE", "SUR_BRI"),
    *("SUR_BRI_ERR", "XPOS", "YPOS", "THETA", "PHI", "RAPOS", "DECPOS", "INSIDE_FOV", "NEAR_CHIP_EDGE"),
    *("CHIP_ID", "CHIPX", "CHIPY", "PSFFRAC", "BG_PSFFRAC", *with_ends("NET_RATE_APER"), "SRC_SIGNIFICANCE"),
    *("FLUX_APER", "BG_FLUX_APER", "SRC_PHOTFLUX", "BG_PHOTFLUX", "MEAN_SRC_EXP", "MEAN_BG_EXP"),
    *(*with_ends("NET_FLUX_APER"), "UPPER_LIMIT", *with_ends("NET_PHOTFLUX_APER"), "MFLUX_CNV"),
    *("UMFLUX_CNV", *with_ends("NET_MFLUX_APER", "NET_UMFLUX_APER")),
    *("SRC_VAR_ODDS", "SRC_VAR_PROB", "SRC_VAR_INDEX"),
]
SRCFLUX_MERGED = [
    *("RAPOS", "DECPOS", "COMPONENT", "TOTAL_COUNTS", "TOTAL_BG_COUNTS", "NUM_OBI", "INSIDE_FOV"),
    *(*with_ends("MERGED_NET_RATE_APER"), "MERGED_RATE_AREASCAL", "PSF_WEIGHTED_TOTAL_EXPOSURE_TIME"),
    *(*with_ends("MERGED_NET_APRATES_PHOTFLUX_APER"), "MERGED_PHOTFLUX_AREASCAL"),
    *("PSF_WEIGHTED_TOTAL_SRC_EXPOSURE", "PSF_WEIGHTED_TOTAL_BG_EXPOSURE"),
    *(*with_ends("MERGED_NET_PHOTFLUX_APER"), "MFLUX_CNV", "UMFLUX_CNV"),
    *(*with_ends("MERGED_NET_MFLUX_APER", "MERGED_NET_UMFLUX_APER"), "TOTAL_FLUX_APER", "TOTAL_BG_FLUX_APER"),
]
SRCFLUX_KEYWORDS = ["ENERGY", "EMIN", "EMAX", "CONF", "MODEL", "PARAMVAL", "ABSMODEL", "ABSPARAM"]

_KINDS = ("OBSERVED", "INCIDENT")
PHOTOMETRY = [
    *("ENERG_LO", "ENERG_HI", "CHAN_LO", "CHAN_HI", "MEAN_ARF", "SRC_CNTS", "BKG_CNTS", "BACKSCAL"),
    *("NET_CNTS", "NET_CNTS_SIGMA_UP", "NET_CNTS_SIGMA_LOW", "SRC_SIGNIF", "PROB_NO_SOURCE"),
    *("FLUX1", "FLUX2", *(f"ENERG_{what}_{kind}" for what in ("MEAN", "PCT25", "PCT50") for kind in _KINDS)),
    *(f"ENERG_PCT75_{kind}" for kind in _KINDS),
]
_BY_BAND = (
    *("SrcCounts", "BkgCounts", "BkgScaling", "NetCounts", "NetCounts_Lo", "NetCounts_Hi", "MedianEnergy"),
    *("EnergyPct25", "EnergyPct75", "PhotonFlux", "EnergyFlux", "log_PhotonFlux", "MeanEffectiveArea"),
)
FLAT = [
    *("Name", "Label", "RA", "Dec", "PosErr", "PosType", "ProbNoSrc_min"),
    *("ProbNoSrc_t", "ProbNoSrc_s", "ProbNoSrc_h", "ProbNoSrc_v", "ProbNoSrc_MostValid"),
    *("ProbKS_single", "ProbKS_merge", "ProbChisq_PhotonFlux", "ExposureTimeNominal", "ExposureFraction"),
    *("RateIn3x3Cell", "NumObservations", "NumObsIDs", "NumMerged", "MergeBias"),
    *("Theta_Lo", "Theta", "Theta_Hi", "PsfFraction", "SrcArea", "AfterglowFraction", "StreakFraction"),
    *(f"{name}_{band}" for name in _BY_BAND for band in "tsh"),
]
_FREE = ("NH", "KT", "NH2", "KT2", "PH")
_FITTED = ("", "_ERRU", "_ERRL", "_ERST", "_FZ")
_STARTS = ("0", "0_MIN", "0_MAX")
_ELEMENTS = ("HE", "C", "N", "O", "NE", "MG", "AL", "SI", "S", "AR", "CA", "FE", "NI")
_FLUXES = [f"{mark}{band}" for mark in ("F", "FC") for band in ("0P5_2", "2_8", "0P5_8")]
MODELS = [
    *("MODEL", "PROVISNL", "BEST_MDL", "NMODELS", "CHNL_LOW", "CHNL_HI", "DOF", "CSTAT", "CHI_SQR"),
    *(f"{name}{end}" for name in _FREE for end in (*_FITTED, *_STARTS)),
    *("NORM", "NORMERRU", "NORMERRL", "NORMERST", *_ELEMENTS),
    *(f"{name}{end}" for name in _FLUXES for end in ("", "U", "L")),
]

LEFT_OUT = {
    "flat": {"ProbNoSrc_v", "NumObsIDs", "StreakFraction"},
    "models": {
        *("NMODELS", "CHNL_LOW", "CHNL_HI", *_ELEMENTS),
        *(f"NH2{end}" for end in _FITTED),
        *(f"{name}{end}" for name in _FREE for end in _STARTS),
    },
}
DOCUMENTED = (*LEFT_OUT["flat"], "NMODELS", "CHNL_LOW", "CHNL_HI", "NH2", "NH0", "HE")


@pytest.fixture
def styled(finished_project, copy_of, tmp_path):
    """Files of both styles of a finished project."""
    with copy_of(finished_project) as project, project.store.read() as connection:
        recipe = shipped_recipes()["default"]
        return (
            srcflux_files(connection, recipe, tmp_path / "out"),
            acis_extract_files(connection, recipe, tmp_path / "tables"),
        )


def test_columns_of_srcflux_are_all_there_in_order(styled):
    files, _ = styled
    single = next(path for path in files if path.name.startswith("out_obi001_broad"))
    merged = next(path for path in files if path.name == "out_broad.flux")
    with fits.open(single) as hdus:
        table, header = hdus[1].data, hdus[1].header
        assert list(table.names) == SRCFLUX
        assert set(SRCFLUX_KEYWORDS) <= set(header)
        np.testing.assert_array_equal(table["RA"], table["RAPOS"])
        # What X and Y are by the keywords of the header is what RA and DEC say.
        x = list(table.names).index("X") + 1
        offset = (table["X"] - header[f"TCRPX{x}"]) * header[f"TCDLT{x}"]
        expected = (table["RA"] - header[f"TCRVL{x}"]) * np.cos(np.radians(table["DEC"]))
        near = np.abs(expected) < 0.3
        assert near.sum() > 10
        np.testing.assert_allclose(offset[near], expected[near], atol=2e-5)
    with fits.open(merged) as hdus:
        assert list(hdus[1].data.names) == SRCFLUX_MERGED
        assert set(SRCFLUX_KEYWORDS) <= set(hdus[1].header)


def test_columns_of_acis_extract_are_there_or_the_docs_say_why_not(styled):
    _, (flat, photometry) = styled
    names = list(fits.getdata(photometry, 1).names)
    assert [name for name in names if name in PHOTOMETRY] == PHOTOMETRY
    assert "EXPOSURE" in names
    assert set(FLAT) - set(fits.getdata(flat, 1).names) == LEFT_OUT["flat"]
    models = {column.name for column in model_columns([])}
    assert set(MODELS) - models == LEFT_OUT["models"]
    text = DOCS.read_text()
    assert [name for name in DOCUMENTED if f"`{name}`" not in text] == []


def test_values_of_single_columns(styled):
    _, (flat, _) = styled
    table = fits.getdata(flat, 1)
    merged = table["NumMerged"] > 0
    np.testing.assert_allclose(table["MergeBias"][merged], 0.0, atol=1e-12)
    counts = table["SrcCounts_t"]
    known = counts > 0
    assert 5 < known.sum() < len(table)
    assert set(table["PosType"][known]) == {"mean"}
    assert set(table["PosType"][~known]) == {""}
    assert np.isfinite(table["PosErr"][known]).all()
    assert np.isnan(table["PosErr"][~known]).all()
    fraction = table["AfterglowFraction"][known]
    assert (fraction >= 0).all()
    assert (fraction <= 1).all()
    np.testing.assert_allclose(fraction * counts[known], np.rint(fraction * counts[known]), atol=1e-6)


@pytest.mark.parametrize(("used", "share"), [((1, 1), 0.0), ((1, 0), 0.25), ((0, 1), 0.75), ((0, 0), 1.0)])
def test_bias_of_a_merge_is_the_share_of_the_exposure_left_out(used, share):
    rows = [
        SimpleNamespace(in_fov=True, exposure_area_aper=weight, used=bool(own))
        for weight, own in zip((3e6, 1e6), used, strict=True)
    ]
    outside = SimpleNamespace(in_fov=False, exposure_area_aper=5e6, used=False)
    assert _share_left_out([*rows, outside]) == pytest.approx(share)
    assert _share_left_out([outside]) is None
