"""Redistributions of a CALDB: embedded functions (FEF_PHA) or ready matrices.

FEF_PHA has a row per tile of a chip and energy: CCD_ID, CHIPX_LO, CHIPX_HI, CHIPY_LO, CHIPY_HI (pixels,
both ends in), ENERGY (keV), CHANNEL (PHA of the line), and for n = 1, 2, ... Gn_FWHM, Gn_POS, Gn_AMPL (PHA;
the height of the Gaussian, not its area). Parameters are linear in energy between the rows. (As MARX reads
them.) The gain of the very tile, CHANNEL against ENERGY, turns PHA into PI of 14.6 eV. One tile serves a
chip, that of its middle.

Data whose charge transfer was corrected need functions made for them: for these only a file with "cti" in
its name is taken. Ready matrices (MATRIX, OGIP) are taken where there is one for every chip, all on the
same energies.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from catalog.calibration.builtin import (
    BACK_ILLUMINATED,
    CHIP_IDS,
    builtin_redistributions,
    open_builtin_redistribution,
)
from catalog.calibration.caldb import aliases
from catalog.calibration.caldb_index import IndexEntry, choose
from catalog.calibration.caldb_tables import column_names, digest, table_of, unusable, vector
from catalog.calibration.instrument_setup import InstrumentSetup
from catalog.calibration.redistribution import Redistribution
from catalog.calibration.rmf_file import read_rmf
from catalog.calibration.user_response import check_channels

Array = NDArray[np.float64]

_MIDDLE = 512
_SIGMA = 1.0 / np.sqrt(8.0 * np.log(2.0))
_TILE = ("CCD_ID", "CHIPX_LO", "CHIPX_HI", "CHIPY_LO", "CHIPY_HI")


def caldb_matrices(
    entries: tuple[IndexEntry, ...], decimal_year: float, setup: InstrumentSetup | None
) -> Mapping[int, Redistribution]:
    """Redistribution of each chip at a date: ready matrices, else functions, else the packaged ones."""
    conditions = {} if setup is None else setup.bounds
    own = tuple(entry for entry in entries if entry.instrument == "ACIS")
    ready = {
        chip: next(
            (
                hit
                for name in aliases("MATRIX")
                if (hit := choose(own, name, decimal_year, CCD_ID=chip, **conditions))
            ),
            None,
        )
        for chip in CHIP_IDS
    }
    if all(entry is not None for entry in ready.values()):
        return _same_energies(
            {chip: _ready(entry) for chip, entry in ready.items() if entry is not None}, ready
        )
    corrected = setup is None or setup.cti_corrected
    functions = tuple(entry for entry in own if not corrected or "cti" in entry.path.name.lower())
    packaged = builtin_redistributions(decimal_year)
    found = {}
    for chip in CHIP_IDS:
        entry = choose(functions, "FEF_PHA", decimal_year, CCD_ID=chip, **conditions)
        found[chip] = (None if entry is None else embedded(entry, chip)) or packaged[chip]
    return found


def _same_energies(
    found: dict[int, Redistribution], entries: Mapping[int, IndexEntry | None]
) -> dict[int, Redistribution]:
    first = next(iter(found.values()))
    for chip, response in found.items():
        entry = entries[chip]
        if entry is not None and not np.array_equal(response.energy_lo, first.energy_lo):
            raise unusable(entry, "its energies are not those of the other chips")
    return found


@lru_cache(maxsize=32)
def _ready(entry: IndexEntry) -> Redistribution:
    if not entry.path.is_file():
        raise unusable(entry, "No such file or directory")
    response = read_rmf(entry.path)
    check_channels(response)
    return response


@lru_cache(maxsize=32)
def embedded(entry: IndexEntry, chip_id: int) -> Redistribution | None:
    """Redistribution of the middle of a chip on the packaged energies; None where the file has no such chip.

    Rows sum to 1: what a chip does not detect is in its quantum efficiency.
    """
    packaged = open_builtin_redistribution(chip_id in BACK_ILLUMINATED)
    table, _ = table_of(entry)
    names = column_names(table)
    chip, x_lo, x_hi, y_lo, y_hi = (vector(entry, table, name) for name in _TILE)
    here = (chip == chip_id) & (x_lo <= _MIDDLE) & (x_hi >= _MIDDLE) & (y_lo <= _MIDDLE) & (y_hi >= _MIDDLE)
    if not here.any():
        return None
    rows = table[here]
    rows = rows[np.argsort(vector(entry, rows, "ENERGY"), kind="stable")]
    node, channel = vector(entry, rows, "ENERGY"), vector(entry, rows, "CHANNEL")
    if node.size < 2 or np.any(np.diff(node) <= 0) or np.any(np.diff(channel) <= 0):
        raise unusable(entry, f"energies or channels of chip {chip_id} do not ascend")
    edges = np.append(packaged.channel_lo, packaged.channel_hi[-1])
    pulse_height = _carried_on(edges, node, channel)
    total = np.zeros((packaged.energy.size, edges.size - 1))
    number = 1
    while f"G{number}_FWHM" in names:
        sigma, position, height = (
            np.interp(packaged.energy, node, vector(entry, rows, f"G{number}_{word}"))
            for word in ("FWHM", "POS", "AMPL")
        )
        sigma *= _SIGMA
        known = sigma > 0
        below = ndtr((pulse_height - position[known, None]) / sigma[known, None])
        total[known] += (height * sigma)[known, None] * np.diff(below, axis=1)
        number += 1
    total = np.maximum(total, 0.0)
    sums = total.sum(axis=1, keepdims=True)
    if not (sums > 0).all():
        raise unusable(entry, f"no response of chip {chip_id} at some energy")
    return Redistribution(
        packaged.energy_lo, packaged.energy_hi, packaged.channel_lo, packaged.channel_hi,
        (total / sums).astype(np.float32), name=f"rmf {entry.path.name} {digest(entry)} chip {chip_id}",
    )  # fmt: skip


def _carried_on(value: Array, nodes: Array, values: Array) -> Array:
    """Linear between nodes and, with the slopes at the ends, beyond them."""
    low = np.clip(np.searchsorted(nodes, value) - 1, 0, nodes.size - 2)
    slope = (values[low + 1] - values[low]) / (nodes[low + 1] - nodes[low])
    return np.asarray(values[low] + slope * (value - nodes[low]))
