"""Compiled loops of the exact distributions of Kuiper and of Kolmogorov and Smirnov."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.stats.compiled import compiled


@compiled
def _poisson(mean: float, size: int) -> NDArray[np.float64]:
    result = np.zeros(size)
    result[0] = math.exp(-mean)
    for k in range(1, size):
        result[k] = result[k - 1] * mean / k
    return result


@compiled
def kuiper_cdf(v: float, n: int) -> float:
    """P(V <= v) for n uniform events, exact for every n.

    V does not depend on where a circle is cut. Cut at the event before which the empirical distribution lies
    lowest (each of the n is that one with the same probability): then V <= v when the other n - 1 events, in
    order, obey (k + 1)/n - v <= U_k <= k/n.
    """
    if v * n <= 1.0:
        return 0.0
    if v >= 1.0:
        return 1.0
    return min(1.0, n * _share_between(n - 1, n, 1.0 / n - v, 0.0))


@compiled
def kolmogorov_cdf(d: float, n: int) -> float:
    """P(D <= d) for n uniform events: in order, these obey k/n - d <= U_k <= (k - 1)/n + d."""
    if 2.0 * d * n <= 1.0:
        return 0.0
    if d >= 1.0:
        return 1.0
    return min(1.0, _share_between(n, n, -d, d - 1.0 / n))


@compiled
def _share_between(number: int, n: int, low: float, high: float) -> float:
    """Probability that uniform events, in order, all obey k/n + low <= U_k <= k/n + high, k = 1 to `number`.

    Their number up to a phase is a Poisson process, given its value at the end, that must stay between two
    staircases: follow its distribution from step to step.
    """
    # Up to the phase k/n + low at most k - 1 events are allowed, from k/n + high on at least k.
    first = math.floor(-low * n) + 1
    times = np.empty(2 * n + 2)
    upper = np.empty(2 * n + 2, dtype=np.int64)
    lower = np.empty(2 * n + 2, dtype=np.int64)
    steps = 0
    low_k, high_k = 1, max(first, 1)
    while True:
        t_low = low_k / n + high if low_k <= number else 2.0
        t_high = high_k / n + low if high_k <= number else 2.0
        if min(t_low, t_high) >= 1.0:
            break
        if t_high <= t_low:
            times[steps] = t_high
            upper[steps] = high_k - 1
            lower[steps] = low_k - 1
            high_k += 1
        else:
            times[steps] = t_low
            upper[steps] = number
            lower[steps] = low_k
            low_k += 1
        steps += 1
    times[steps] = 1.0
    upper[steps] = number
    lower[steps] = number
    state = np.zeros(number + 1)
    state[0] = 1.0
    top, bottom, now, scale = 0, 0, 0.0, 0.0
    for s in range(steps + 1):
        # No more than the bound of the next upper step can be there and still pass it.
        limit = number
        for later in range(s, min(s + 3, steps + 1)):
            limit = min(limit, upper[later])
        width = limit - bottom + 1
        if width <= 0:
            return 0.0
        jump = _poisson(number * (times[s] - now), width)
        now = times[s]
        fresh = np.zeros(number + 1)
        for j in range(max(lower[s], bottom), limit + 1):
            total = 0.0
            for i in range(bottom, min(top, j) + 1):
                total += state[i] * jump[j - i]
            fresh[j] = total
        bottom = max(lower[s], bottom)
        top = limit
        peak = fresh[bottom : top + 1].max() if top >= bottom else 0.0
        if peak <= 0.0:
            return 0.0
        for j in range(bottom, top + 1):
            state[j] = fresh[j] / peak
        scale += math.log(peak)
    log_end = number * math.log(number) - number - math.lgamma(number + 1.0)
    share: float = state[number] * math.exp(scale - log_end)
    return share
