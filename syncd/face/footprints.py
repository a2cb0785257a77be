"""The places of a dataset as outlines on a map of land: pure. One unit is a degree; x is the longitude and 180.

Rules:
1. There are no borders and no names on the map: land only.
2. A place over the antimeridian is drawn on both sides.
3. More than MOST outlines are counted in cells of a degree instead.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

Ring = tuple[tuple[float, float], ...]
Rings = tuple[Ring, ...]

MOST = 2_000  # outlines that are drawn
POINTS = 64  # of an outline
PARTS = 8  # outlines of an item
SMALLEST = 60.0  # degrees that the map shows at least
_POINT = 0.15  # degrees around a place without an area


class DrawnMap(msgspec.Struct, frozen=True):
    """A map: what of the world it shows, and the outlines or cells on it, as paths of SVG."""

    view: str
    outlines: tuple[str, ...] = ()
    cells: tuple[tuple[int, str], ...] = ()
    """A density of 1 to 3, and the cells that have it."""


def outlines(item: dict[str, Any]) -> Rings:
    """Return the outlines of an item: of its geometry, else of its box; none if both are not valid."""
    geometry = item.get("geometry")
    found: list[Ring] = []
    if isinstance(geometry, dict):
        given = geometry.get("coordinates")
        if geometry.get("type") == "Polygon":
            found = [_ring(given[0])] if isinstance(given, list) and given else []
        elif geometry.get("type") == "MultiPolygon" and isinstance(given, list):
            found = [_ring(one[0]) for one in given[:PARTS] if isinstance(one, list) and one]
        elif geometry.get("type") == "Point":
            found = [_ring([given])]
    found = [one for one in found if one]
    box = item.get("bbox")
    if not found and isinstance(box, list) and len(box) in {4, 6}:
        half = len(box) // 2
        west, south, east, north = box[0], box[1], box[half], box[half + 1]
        corners = _ring([[west, south], [east, north]])
        found = [box_outline(*corners[0], *corners[1])] if len(corners) == 2 else []
    return tuple(found)


def box_outline(west: float, south: float, east: float, north: float) -> Ring:
    """Return the outline of a box; west is above east over the antimeridian."""
    if west > east:
        east += 360
    return ((west, south), (east, south), (east, north), (west, north))


def draw(places: Sequence[Ring]) -> DrawnMap | None:
    """Return the map of some outlines; None if there are none."""
    rings = [_joined(one) for one in places if one]
    if not rings:
        return None
    xs = [x for ring in rings for x, _ in ring]
    ys = [y for ring in rings for _, y in ring]
    view = _view(min(xs), max(xs), min(ys), max(ys))
    if len(rings) > MOST:
        return DrawnMap(view, cells=_cells(rings))
    return DrawnMap(view, tuple("".join(_path(ring, shift) for shift in _shifts(ring)) for ring in rings))


def _ring(given: object) -> Ring:
    """Return checked points, at most POINTS of them; () if one of them is nowhere on Earth."""
    if not isinstance(given, list) or not given:
        return ()
    step = math.ceil(len(given) / POINTS)
    points = []
    for one in given[::step]:
        if not isinstance(one, list) or len(one) < 2 or not all(isinstance(part, int | float) for part in one[:2]):
            return ()
        x, y = float(one[0]), float(one[1])
        if not (-360 <= x <= 360 and -90 <= y <= 90):
            return ()
        points.append((round(x, 2), round(y, 2)))
    return tuple(points)


def _joined(ring: Ring) -> Ring:
    """Return an outline without jumps over the antimeridian, as x and y of the map; a point gets an area."""
    if len(ring) == 1:
        ((x, y),) = ring
        ring = box_outline(x - _POINT, max(-90, y - _POINT), x + _POINT, min(90, y + _POINT))
    is_split = any(abs(a - b) > 180 for (a, _), (b, _) in pairwise((*ring, ring[0])))
    return tuple(((x + 360 if is_split and x < 0 else x) + 180, 90 - y) for x, y in ring)


def _shifts(ring: Ring) -> tuple[int, ...]:
    if max(x for x, _ in ring) > 360:
        return (0, -360)
    return (0, 360) if min(x for x, _ in ring) < 0 else (0,)


def _path(ring: Ring, shift: int) -> str:
    return "M" + "L".join(f"{round(x + shift, 2):g} {round(y, 2):g}" for x, y in ring) + "z"


def _view(west: float, east: float, top: float, bottom: float) -> str:
    """Return the part of the map around outlines, twice as wide as high."""
    if west < 0 or east > 360:
        return "0 0 360 180"
    width = min(360.0, max(SMALLEST, 1.5 * (east - west), 3 * (bottom - top)))
    x = min(max(0.0, (west + east - width) / 2), 360 - width)
    y = min(max(0.0, (top + bottom - width / 2) / 2), 180 - width / 2)
    return f"{round(x, 1):g} {round(y, 1):g} {round(width, 1):g} {round(width / 2, 1):g}"


def _cells(rings: Iterable[Ring]) -> tuple[tuple[int, str], ...]:
    """Return the cells that hold the middle of an outline, in three densities."""
    counts: Counter[tuple[int, int]] = Counter()
    for ring in rings:
        x, y = (sum(one) / len(ring) for one in zip(*ring, strict=True))
        counts[int(x % 360), min(179, int(y))] += 1
    most = max(counts.values())
    found: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for (x, y), count in sorted(counts.items()):
        found[1 if count * 10 < most else 2 if count * 3 < most else 3].append(f"M{x} {y}h1v1h-1z")
    return tuple((density, "".join(cells)) for density, cells in found.items() if cells)
