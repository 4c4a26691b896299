"""Columns of `merged_property`: what the reference systems print of several observations together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.measure.channel_photometry import ChannelSpectra, channel_columns
from catalog.measure.merged_variants import MergedCounts, srcflux_merged
from catalog.measure.posterior_columns import Columns
from catalog.measure.properties import (
    ChipSpectra,
    chip_spectra,
    model_conversions,
    model_fluxes,
    net_counts,
    raw_event_flux,
)
from catalog.stages.steps.property_rows import Measured, PropertyContext, by_chip, chip_group

Array = NDArray[np.float64]
_OF_COUNTS = ("net_cnts", "merged_net_rate_", "merged_rate_", "psf_weighted_exposure_time", "energ_")
"""Begins of the columns that need no area: of a source that only some observations have an area for, these
are of all, the others of those with an area."""


def merged_columns(
    context: PropertyContext, members: Sequence[Measured], offsets: NDArray[np.int64], rates: Sequence[Array]
) -> Columns:
    """Return the columns of merges by name, shape (sources, bands), NaN for no value.

    Parameters
    ----------
    context
        Recipe, calibration, event sets.
    members
        Usable extractions, those of one source after the other.
    offsets
        Source k has the members offsets[k] to offsets[k + 1], shape (sources + 1,).
    rates
        Joint rates and their ends, s-1, of the observations with an area, shape (sources, bands) each.
    """
    columns = _columns(context, members, offsets, rates)
    has_area = np.array([member.has_area for member in members])
    starts = offsets[:-1]
    number = np.add.reduceat(has_area.astype(np.int64), starts)
    mixed = (number > 0) & (number < np.diff(offsets))
    if mixed.any():
        chosen = has_area & np.repeat(mixed, np.diff(offsets))
        own = [member for member, taken in zip(members, chosen, strict=True) if taken]
        ends = np.concatenate([[0], np.cumsum(number[mixed])]).astype(np.int64)
        part = _columns(context, own, ends, [rate[mixed] for rate in rates])
        for name, values in part.items():
            if not name.startswith(_OF_COUNTS) or name.endswith("_incident"):
                columns[name][mixed] = values
    return columns


def _columns(
    context: PropertyContext, members: Sequence[Measured], offsets: NDArray[np.int64], rates: Sequence[Array]
) -> Columns:
    starts = offsets[:-1]
    spectra: list[ChipSpectra | None] = [None] * len(members)
    single: dict[str, Array] = {
        name: np.full((len(members), len(context.bands)), np.nan)
        for name in (
            "mflux_conversion",
            "umflux_conversion",
            "model_nh",
            "flux_aper_raw",
            "flux_aperbkg_raw",
        )
    }
    for (event_set_id, _), chosen in by_chip(members).items():
        field = context.fields[event_set_id]
        group = chip_group([members[i] for i in chosen], field)
        calibration = context.calibration_of(field)
        found = chip_spectra(group, calibration, context.bands)
        nh = np.array([context.nh.get(members[i].extraction.source_id, 0.0) for i in chosen])
        if field.grating == "NONE":
            parts = model_conversions(calibration, group, context.model, nh, context.bands)
            parts["flux_aper_raw"] = raw_event_flux(group.energy_aper, found, group.livetime, context.bands)
            parts["flux_aperbkg_raw"] = raw_event_flux(
                group.energy_aperbkg, found, group.livetime, context.bands
            )
            for name, values in parts.items():
                single[name][chosen] = values
        for row, i in enumerate(chosen):
            spectra[i] = _row(found, row)
    live = np.array([member.extraction.livetime for member in members], dtype=float)
    weight = live[:, None] * np.array([member.value("psf_good_frac_aper") for member in members])
    columns = _channels(context, members, offsets, [item for item in spectra if item is not None], live)
    for name in ("mflux_conversion", "umflux_conversion"):
        # Rates at one model flux add, weighted by time: the responses are averaged, not the conversions.
        columns[name] = np.add.reduceat(weight, starts) / np.add.reduceat(weight / single[name], starts)
    for name in ("flux_aper_raw", "flux_aperbkg_raw"):
        columns[name] = (
            np.add.reduceat(single[name] * live[:, None], starts) / np.add.reduceat(live, starts)[:, None]
        )
    columns["model_nh"] = single["model_nh"][starts]
    columns |= model_fluxes(columns, *rates)
    columns |= _variants(context, members, offsets)
    no_area = ~np.isfinite(columns["mflux_conversion"])
    for name in ("mean_arf", "flux1_aper", "flux2_aper", "energyflux_aper"):
        columns[name] = np.where(no_area, np.nan, columns[name])
    return columns


def _row(spectra: ChipSpectra, row: int) -> ChipSpectra:
    return ChipSpectra(
        spectra.source[row],
        spectra.background[row],
        spectra.area[row],
        spectra.bare_area[row],
        spectra.channel_lo,
        spectra.channel_hi,
    )


def _channels(
    context: PropertyContext,
    members: Sequence[Measured],
    offsets: NDArray[np.int64],
    spectra: Sequence[ChipSpectra],
    live: Array,
) -> Columns:
    """Net counts, channel fluxes and energies of summed spectra, each observation with its own ratio."""
    bands = context.bands
    ratio = np.array([member.value("bkg_ratio") for member in members])
    n = np.array([member.value("cnts_aper") for member in members])
    m = np.array([member.value("cnts_aperbkg") for member in members])
    starts = offsets[:-1]
    total_n, total_m = np.add.reduceat(n, starts), np.add.reduceat(m, starts)
    scaled = np.add.reduceat(m / ratio, starts)
    plain = np.add.reduceat(ratio * live[:, None], starts) / np.add.reduceat(live, starts)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        common = np.where(scaled > 0, total_m / scaled, plain)
    columns = net_counts(total_n, total_m, common)
    parts: list[list[Columns]] = []
    for k in range(len(starts)):
        own = slice(offsets[k], offsets[k + 1])
        time = live[own]
        rows = spectra[own]
        area = sum(row.area * t for row, t in zip(rows, time, strict=True)) / time.sum()
        source = sum(row.source for row in rows)
        parts.append([])
        for j, band in enumerate(bands):
            background = sum(row.background / r for row, r in zip(rows, ratio[own, j], strict=True))
            merged = ChannelSpectra(
                np.asarray(source)[None],
                np.asarray(background)[None],
                np.asarray(area)[None],
                np.array([time.sum()]),
            )
            parts[k].append(channel_columns(merged, rows[0].channel_lo, rows[0].channel_hi, [band]))
    for name in parts[0][0]:
        columns[name] = np.array([[found[name][0, 0] for found in row] for row in parts])
    return columns


def _variants(context: PropertyContext, members: Sequence[Measured], offsets: NDArray[np.int64]) -> Columns:
    found = []
    live = np.array([member.extraction.livetime for member in members], dtype=float)
    areas = np.array([[m.extraction.area_aper, m.extraction.area_aperbkg] for m in members], dtype=float)

    def values(name: str) -> Array:
        return np.array([member.value(name) for member in members])

    n, m = values("cnts_aper"), values("cnts_aperbkg")
    alpha, beta = values("psf_frac_aper"), np.nan_to_num(values("psf_frac_aperbkg"))
    own, other = values("exposure_area_aper"), values("exposure_area_aperbkg")
    for j in range(len(context.bands)):
        counts = MergedCounts(
            offsets,
            n[:, j].astype(np.int64),
            m[:, j].astype(np.int64),
            alpha[:, j],
            beta[:, j],
            areas[:, 1] / areas[:, 0],
            live,
            own[:, j] / live,
            other[:, j] / live,
        )
        found.append(srcflux_merged(counts, context.recipe.confidence))
    return {name: np.stack([part[name] for part in found], axis=1) for name in found[0]}
