"""The compiled loop of `circle_area`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def union_area(circles: NDArray[np.float64]) -> float:
    """Area of a union of discs (rows x, y, radius, all different): half the integral of x dy - y dx."""
    number = circles.shape[0]
    start, stop = np.empty(2 * number), np.empty(2 * number)
    turn = 2.0 * math.pi
    total = 0.0
    for i in range(number):
        r = circles[i, 2]
        # From the first centre, so that large coordinates cost no digits.
        x, y = circles[i, 0] - circles[0, 0], circles[i, 1] - circles[0, 1]
        arcs, hidden = 0, False
        for j in range(number):
            dx, dy = circles[j, 0] - circles[i, 0], circles[j, 1] - circles[i, 1]
            other = circles[j, 2]
            distance = math.hypot(dx, dy)
            if i == j or distance >= r + other or distance <= r - other:
                continue
            if distance <= other - r:
                hidden = True
                break
            cosine = (distance * distance + r * r - other * other) / (2.0 * distance * r)
            half = math.acos(min(1.0, max(-1.0, cosine)))
            first = (math.atan2(dy, dx) - half) % turn
            start[arcs], stop[arcs] = first, min(first + 2.0 * half, turn)
            arcs += 1
            if first + 2.0 * half > turn:
                # What passes the end of the turn covers its beginning too.
                start[arcs], stop[arcs] = 0.0, first + 2.0 * half - turn
                arcs += 1
        if hidden:
            continue
        order = np.argsort(start[:arcs])
        reached = 0.0
        for k in range(arcs + 1):
            end = start[order[k]] if k < arcs else turn
            if end > reached:
                sines = math.sin(end) - math.sin(reached)
                cosines = math.cos(end) - math.cos(reached)
                total += 0.5 * (r * r * (end - reached) + r * x * sines - r * y * cosines)
            if k < arcs:
                reached = max(reached, stop[order[k]])
    return total
