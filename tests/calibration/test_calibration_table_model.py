"""Table models of the OGIP: interpolation, redshift, additional parameters, bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from catalog.calibration.table_model import read_table_model
from catalog.errors import CalibrationError, MissingFileError, SettingsError
from catalog.measure.spectral_components import thermal
from catalog.measure.spectral_model import fit_model

EDGES = np.geomspace(0.2, 12.0, 401)
KT = np.array([0.2, 0.5, 1.0, 2.0, 5.0, 10.0])
SHIFT = np.array([0.0, 1.0, 3.0])


def _spectrum(kt: float, shift: float) -> np.ndarray:
    """Linear in log kT and in the other parameter, so that interpolation is exact."""
    return np.diff(EDGES) * (3.0 + np.log(kt)) * (1.0 + shift) / np.sqrt(EDGES[:-1])


def write_table(path: Path, **changes: Any) -> Path:
    """A table of 6 x 3 spectra with one additional parameter; `changes` spoil it."""
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"MODLNAME": "toy", "MODLUNIT": "photons/cm^2/s", "REDSHIFT": True, "ADDMODEL": True}
    )
    values = np.zeros((3, 6))
    values[0], values[1, :3] = KT, SHIFT
    parameters = fits.BinTableHDU.from_columns(
        [
            fits.Column("NAME", "12A", array=[changes.get("name", "kT"), "shift", "Fe"]),
            fits.Column("METHOD", "J", array=[1, 0, 0]),
            fits.Column("INITIAL", "E", array=[1.0, 0.0, 1.0]),
            fits.Column("DELTA", "E", array=[0.1, 0.1, -0.1]),
            fits.Column("MINIMUM", "E", array=[0.1, 0.0, 0.0]),
            fits.Column("BOTTOM", "E", array=[0.1, 0.0, 0.0]),
            fits.Column("TOP", "E", array=[20.0, 3.0, 5.0]),
            fits.Column("MAXIMUM", "E", array=[20.0, 3.0, 5.0]),
            fits.Column("NUMBVALS", "J", array=[6, 3, 0]),
            fits.Column("VALUE", "6E", array=values),
        ],
        name="PARAMETERS",
    )
    parameters.header.update({"NINTPARM": 2, "NADDPARM": 1})
    energies = fits.BinTableHDU.from_columns(
        [fits.Column("ENERG_LO", "E", array=EDGES[:-1]), fits.Column("ENERG_HI", "E", array=EDGES[1:])],
        name="ENERGIES",
    )
    grid = [(kt, shift) for kt in KT for shift in SHIFT]
    # Rows in any order.
    order = np.random.default_rng(1).permutation(len(grid))[changes.get("drop", 0) :]
    rows = np.array([grid[place] for place in order])
    line = np.where((EDGES[:-1] < 6.7) & (EDGES[1:] >= 6.7), 2.0, 0.0)
    spectra = fits.BinTableHDU.from_columns(
        [
            fits.Column("PARAMVAL", "2E", array=rows),
            fits.Column("INTPSPEC", "400E", array=[_spectrum(*row) for row in rows]),
            fits.Column("ADDSP001", "400E", array=[line] * len(rows)),
        ],
        name="SPECTRA",
    )
    fits.HDUList([primary, parameters, energies, spectra]).writeto(path)
    return path


def test_interpolation_is_exact_where_it_should_be(tmp_path: Path) -> None:
    model = read_table_model(write_table(tmp_path / "toy.fits"))
    assert [item.name for item in model.parameters] == ["kT", "shift", "Fe", "redshift"]
    assert model.redshift
    for kt, shift in ((0.2, 0.0), (0.33, 0.4), (1.0, 1.0), (7.0, 2.2), (10.0, 3.0)):
        (found,) = model.photons(EDGES, np.array([[kt, shift, 0.0, 0.0]]))
        assert found == pytest.approx(_spectrum(kt, shift), rel=2e-5)
    # Outside the table its ends are used.
    (cold, colder) = model.photons(EDGES, np.array([[0.2, 0.0, 0.0, 0.0], [0.05, 0.0, 0.0, 0.0]]))
    assert colder == pytest.approx(cold)


def test_additional_parameter_and_redshift(tmp_path: Path) -> None:
    model = read_table_model(write_table(tmp_path / "toy.fits"))
    plain, iron = model.photons(EDGES, np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 2.5, 0.0]]))
    assert (iron - plain).sum() == pytest.approx(5.0, rel=1e-5)
    (near,) = model.photons(EDGES, np.array([[1.0, 0.0, 1.0, 0.0]]))
    assert EDGES[np.argmax(near - plain)] == pytest.approx(6.65, abs=0.1)
    edges = np.linspace(0.5, 5.0, 3001)
    far, without = model.photons(edges, np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]]))
    # At redshift 1 the line lies at half its energy, and half of its photons arrive.
    assert (far - without).sum() == pytest.approx(1.0, rel=1e-4)
    assert edges[np.argmax(far - without)] == pytest.approx(6.7 / 2, abs=0.06)


def test_coarser_bins_keep_all_photons(tmp_path: Path) -> None:
    model = read_table_model(write_table(tmp_path / "toy.fits"))
    coarse = np.geomspace(0.1, 20.0, 38)
    (found,) = model.photons(coarse, np.array([[1.0, 0.5, 1.0, 0.0]]))
    (fine,) = model.photons(EDGES, np.array([[1.0, 0.5, 1.0, 0.0]]))
    assert found.sum() == pytest.approx(fine.sum(), rel=1e-9)
    assert found[coarse[1:] < 0.2].sum() == 0.0


def test_thermal_models_of_a_table(tmp_path: Path) -> None:
    table = read_table_model(write_table(tmp_path / "toy.fits"))
    one = fit_model("thermal", "phabs", (table,), 0.2)
    two = fit_model("thermal2", "phabs", (table,), 0.2)
    assert one.names == ("nh", "kt", "shift", "fe", "redshift", "norm")
    assert two.names[-1] == "norm2"
    assert {"kt", "kt2"} <= set(two.names)
    assert table.identity in one.identity
    edges = np.linspace(0.5, 7.0, 200)
    single = one.photons(edges, np.array([[0.2, 1.0, 0.0, 1.0, 0.0, 2.0]]))
    both = two.photons(edges, np.array([[0.2, 1.0, 0.0, 1.0, 0.0, 1.5, 1.0, 0.0, 1.0, 0.0, 0.5]]))
    assert both == pytest.approx(single)


@pytest.mark.parametrize("what", ["drop", "text", "missing", "extension"])
def test_bad_tables(tmp_path: Path, what: str) -> None:
    path = tmp_path / "toy.fits"
    if what == "drop":
        write_table(path, drop=1)
    elif what == "text":
        path.write_text("no table\n")
    elif what == "extension":
        fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    with pytest.raises((CalibrationError, MissingFileError)) as caught:
        read_table_model(path)
    assert caught.value.code in ("TABLE_MODEL", "MISSING_FILE")


def test_a_table_without_temperature_is_no_plasma(tmp_path: Path) -> None:
    table = read_table_model(write_table(tmp_path / "toy.fits", name="depth"))
    with pytest.raises(SettingsError, match="temperature"):
        thermal(table)


class TestOfAPlasma:
    """A table as Sherpa writes it: temperature (logarithmic), abundance, two lines as added parameters."""

    KT = (0.3, 0.6, 1.2, 2.4, 4.8)
    METALS = (0.0, 0.3, 1.0)
    LINES = ((1.85, 2.0), (6.7, 5.0))
    """Energy, photons for 1."""

    @staticmethod
    def continuum(edges: np.ndarray, kt: float, metals: float) -> np.ndarray:
        """Photons per bin: exp(-E/kT) integrated, and a box of iron L lines from 0.7 to 1.1 keV."""
        smooth = kt * (np.exp(-edges[:-1] / kt) - np.exp(-edges[1:] / kt))
        inside = np.minimum(edges[1:], 1.1) - np.maximum(edges[:-1], 0.7)
        return smooth + metals * np.maximum(inside, 0.0)

    def write(self, path: Path, **changes: Any) -> Path:
        xstable = pytest.importorskip("sherpa.astro.io.xstable")
        grid = [(kt, metals) for kt in self.KT for metals in self.METALS]
        lines = [
            [np.where((EDGES[:-1] <= energy) & (EDGES[1:] > energy), photons, 0.0)] * len(grid)
            for energy, photons in self.LINES
        ]
        hdus = xstable.make_xstable_model(
            "plasma",
            EDGES[:-1],
            EDGES[1:],
            [
                xstable.Param("kT", 1.0, 0.01, 0.3, 4.8, values=list(self.KT), loginterp=True),
                xstable.Param("Abundanc", 0.3, -0.01, 0.0, 1.0, values=list(self.METALS)),
            ],
            [self.continuum(EDGES, *place) for place in grid],
            addparams=[xstable.BaseParam(name, 1.0, -0.01, 0.0, 10.0) for name in ("Si", "Fe")],
            addspectra=lines,
            redshift=True,
            **changes,
        )
        xstable.write_xstable_model(str(path), hdus)
        return path

    def test_between_the_spectra_of_the_table(self, tmp_path: Path) -> None:
        model = read_table_model(self.write(tmp_path / "plasma.fits"))
        assert [item.name for item in model.parameters] == ["kT", "Abundanc", "Si", "Fe", "redshift"]
        assert [item.logarithmic for item in model.parameters[:2]] == [True, False]
        assert (model.name, model.redshift, model.additive) == ("plasma", True, True)
        edges = np.linspace(0.4, 7.5, 300)
        for kt, metals, silicon, iron, z in (
            (0.6, 0.3, 0.0, 0.0, 0.0),
            (0.85, 0.7, 1.5, 0.4, 0.0),
            (3.1, 0.1, 0.0, 2.0, 0.35),
        ):
            (found,) = model.photons(edges, np.array([[kt, metals, silicon, iron, z]]))
            assert found == pytest.approx(self.wanted(edges, kt, metals, (silicon, iron), z), abs=4e-3)
            assert found.sum() == pytest.approx(
                self.wanted(edges, kt, metals, (silicon, iron), z).sum(), rel=2e-4
            )

    def wanted(
        self, edges: np.ndarray, kt: float, metals: float, added: tuple[float, float], z: float
    ) -> np.ndarray:
        """The same by hand: a weighted mean of the two neighbours in log kT; abundance is linear anyway."""
        place = np.log(kt / 0.3) / np.log(2.0)
        low = min(int(place), 3)
        emitted = edges * (1.0 + z)
        found = np.zeros(edges.size - 1)
        for node, weight in ((low, low + 1.0 - place), (low + 1, place - low)):
            found += weight * self.continuum(emitted, self.KT[node], metals)
        for (energy, photons), value in zip(self.LINES, added, strict=True):
            own = int(np.searchsorted(EDGES, energy, side="right")) - 1
            share = np.minimum(emitted[1:], EDGES[own + 1]) - np.maximum(emitted[:-1], EDGES[own])
            found += value * photons * np.maximum(share, 0.0) / (EDGES[own + 1] - EDGES[own])
        return found / (1.0 + z)

    @pytest.mark.parametrize("changes", [{"escale": True}, {"xfxp": ["a: 1", "a: 2"]}])
    def test_what_is_not_followed_is_refused(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        path = tmp_path / "plasma.fits"
        self.write(path)
        with fits.open(path) as hdus:
            hdus[0].header["ESCALE"] = "escale" in changes
            hdus[0].header["NXFLTEXP"] = 2 if "xfxp" in changes else 1
            hdus.writeto(path, overwrite=True)
        with pytest.raises(CalibrationError, match="the table has") as caught:
            read_table_model(path)
        assert caught.value.code == "TABLE_MODEL"

    def test_spectra_of_another_length(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "plasma.fits")
        with fits.open(path) as hdus:
            hdus["ENERGIES"].data = hdus["ENERGIES"].data[:-1]
            hdus.writeto(path, overwrite=True)
        with pytest.raises(CalibrationError, match="spectra of 400 values for 399 energies"):
            read_table_model(path)
