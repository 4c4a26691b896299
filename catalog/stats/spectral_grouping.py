"""Grouping of spectral channels: by least counts, by signal to noise, or none; as OGIP columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import SettingsError
from catalog.stats.time_grouping import group_by_snr, snr_edges

Integers = NDArray[np.int64]

GOOD, DUBIOUS = 0, 2
"""Values of QUALITY: a channel to fit, and one of a group that is incomplete or outside the band."""
GROUP_RANGE = (10, 250)
"""Groups wanted where the signal to noise may be chosen from a range (ACIS Extract, chi-square fits)."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups of consecutive channels.

    Attributes
    ----------
    edges
        Group i holds the channels edges[i] to edges[i + 1] - 1, counted from 0; shape (groups + 1,).
    good
        Whether a group is complete and inside the band, shape (groups,).
    snr
        Least signal to noise of the good groups; None where it is not the rule.
    """

    edges: Integers
    good: NDArray[np.bool_]
    snr: float | None = None

    @property
    def grouping(self) -> NDArray[np.int16]:
        """OGIP's GROUPING: 1 where a group begins, -1 elsewhere, shape (channels,)."""
        flags = np.full(int(self.edges[-1]), -1, dtype=np.int16)
        flags[self.edges[:-1]] = 1
        return flags

    @property
    def quality(self) -> NDArray[np.int16]:
        """OGIP's QUALITY: 0 or 2, shape (channels,)."""
        values = np.where(self.good, GOOD, DUBIOUS).astype(np.int16)
        return np.repeat(values, np.diff(self.edges))

    def sums(self, counts: ArrayLike) -> NDArray[np.float64]:
        """Sum of values by group, shape (..., groups)."""
        return np.add.reduceat(np.asarray(counts, dtype=float), self.edges[:-1], axis=-1)


@dataclass(frozen=True)
class GroupRule:
    """How to group.

    Attributes
    ----------
    kind
        ``none``, ``counts`` (least counts of the source spectrum, from the first channel up) or ``snr``
        (signal to noise with the background, from both ends of the band).
    value
        Least counts, or signal to noise.
    highest
        Signal to noise to begin with: it goes down to `value` where the groups are fewer than `GROUP_RANGE`
        asks for, and up where they are more. None for exactly `value`.
    """

    kind: Literal["none", "counts", "snr"] = "none"
    value: float = 1.0
    highest: float | None = None


def parse_group_rule(text: str) -> GroupRule:
    """Read ``none``, ``counts:15``, ``snr:3`` or ``snr:2-20``.

    Raises
    ------
    SettingsError
        GROUPING: it is none of these.
    """
    if text == "none":
        return GroupRule()
    found = re.fullmatch(r"(?:counts:(\d+)|snr:(\d+\.?\d*)(?:-(\d+\.?\d*))?)", text)
    if found is not None:
        counts, lowest, highest = found.groups()
        rule = (
            GroupRule("counts", float(counts))
            if counts
            else GroupRule("snr", float(lowest), float(highest) if highest else None)
        )
        if rule.value > 0 and (rule.highest is None or rule.highest >= rule.value):
            return rule
    raise SettingsError("unknown grouping", text, "write none, counts:15, snr:3 or snr:2-20", code="GROUPING")


def group_channels(
    rule: GroupRule,
    counts: ArrayLike,
    background: ArrayLike | None = None,
    ratio: float | None = None,
    band: tuple[int, int] | None = None,
) -> Grouping:
    """Group channels by a rule.

    Parameters
    ----------
    rule
        The rule.
    counts, background
        Counts of source and background spectrum by channel, shape (channels,).
    ratio
        Background ratio r.
    band
        First channel and the one after the last (from 0) between which signal to noise is counted; the
        channels below and above become one group each, of quality 2. All unless given.
    """
    source = np.asarray(counts, dtype=float)
    if rule.kind == "none":
        return Grouping(np.arange(source.size + 1), np.ones(source.size, dtype=bool))
    if rule.kind == "counts":
        return group_counts(source, rule.value)
    first, last = (0, source.size) if band is None else band
    inside = slice(first, last)
    beside = None if background is None or ratio is None else np.asarray(background, dtype=float)[inside]
    scale = 1e20 if ratio is None else ratio
    if rule.highest is None:
        edges, threshold = snr_edges(source[inside], rule.value, beside, scale), rule.value
    else:
        edges, threshold = group_by_snr(
            source[inside], (rule.value, rule.highest), GROUP_RANGE, beside, scale
        )
    whole = np.unique(np.concatenate([[0], first + edges, [source.size]]))
    good = (whole[:-1] >= first) & (whole[1:] <= last)
    return Grouping(whole.astype(np.int64), good, threshold)


def group_counts(counts: ArrayLike, least: float) -> Grouping:
    """Group channels from the first up, so that each group has at least so many counts.

    What is left at the end is a group of quality 2.
    """
    values = np.asarray(counts, dtype=float)
    edges, begin = [0], 0.0
    total = np.cumsum(values)
    while edges[-1] < values.size:
        place = int(np.searchsorted(total, begin + least - 1e-9, side="left"))
        if place >= values.size:
            break
        edges.append(place + 1)
        begin = float(total[place])
    good = [True] * (len(edges) - 1)
    if edges[-1] < values.size:
        edges.append(values.size)
        good.append(False)
    return Grouping(np.array(edges, dtype=np.int64), np.array(good))
