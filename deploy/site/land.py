"""Draws `syncd/web/static/land.svg`: the land of the Earth, without any border, from the npm package world-atlas.

`npm pack world-atlas@2.0.2`, unpack it, then `python deploy/site/land.py package/land-110m.json > land.svg`. One unit
is a degree: x is the longitude and 180, y is 90 less the latitude.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

STYLE = "path{fill:#d4d6cd}@media(prefers-color-scheme:dark){path{fill:#3a454c}}"


def rings(topology: dict) -> list[list[tuple[float, float]]]:
    """Return the closed lines of all land, as x and y."""
    (sx, sy), (tx, ty) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        line = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            line.append((x * sx + tx + 180, 90 - (y * sy + ty)))
        arcs.append(line)
    found = []
    for part in topology["objects"]["land"]["geometries"]:
        polygons = [part["arcs"]] if part["type"] == "Polygon" else part["arcs"]
        for ring in (ring for polygon in polygons for ring in polygon):
            points: list[tuple[float, float]] = []
            for number in ring:
                points += (arcs[number] if number >= 0 else arcs[~number][::-1])[1 if points else 0 :]
            found.append(points)
    return found


def unwrapped(points: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return a line without jumps over the antimeridian; twice if it is on both sides. One around a pole ends there."""
    line = [points[0]]
    for x, y in points[1:]:
        line.append((x + 360 * round((line[-1][0] - x) / 360), y))
    if abs(line[-1][0] - line[0][0]) > 180:
        line += [(line[-1][0], 180), (line[0][0], 180)]
    west, east = min(x for x, _ in line), max(x for x, _ in line)
    shifts = [shift for shift in (-360, 0, 360) if west + shift < 359.9 and east + shift > 0.1]
    return [[(x + shift, y) for x, y in line] for shift in shifts]


def path(points: list[tuple[float, float]]) -> str:
    """Return a line as SVG writes it, in tenths of a degree."""
    tenths = [(round(x * 10), round(y * 10)) for x, y in points]
    tenths = [one for at, one in enumerate(tenths) if at == 0 or one != tenths[at - 1]]
    steps = [(x - a, y - b) for (a, b), (x, y) in pairwise(tenths)]
    first = f"M{tenths[0][0] / 10:g} {tenths[0][1] / 10:g}"
    return f"{first}l{' '.join(f'{x / 10:g} {y / 10:g}' for x, y in steps)}z" if len(steps) > 2 else ""


def main(file: str) -> None:
    """Print the picture."""
    drawn = "".join(path(line) for ring in rings(json.loads(Path(file).read_text())) for line in unwrapped(ring))
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 360 180"><style>{STYLE}</style><path d="{drawn}"/></svg>'
    )


if __name__ == "__main__":
    main(sys.argv[1])
