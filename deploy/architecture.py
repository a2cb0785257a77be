"""Draws the packages and who imports whom, from the imports: `make docs` writes it into docs/architecture.md.

The picture (docs/images/architecture.svg) has every package on its floor, as the contracts of pyproject.toml order
them. To stay readable it leaves out an arrow that follows from others (a imports b, b imports c: a to c is not drawn);
the table in the page has all of them.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"

WIDTH, HEIGHT, GAP, LEFT, ROW = 138, 46, 18, 20, 96  # pixels

Arrows = dict[str, set[str]]


def arrows() -> Arrows:
    """Return the packages that each package imports; `transports` and `manifests` are one each."""
    graph = grimp.build_graph("syncd", "transports", "manifests")
    found: Arrows = {}
    for module in graph.modules:
        package = package_of(module)
        imported = {package_of(other) for other in graph.find_modules_directly_imported_by(module)}
        found.setdefault(package, set()).update(imported - {package})
    for entry in ("syncd", "syncd.__main__"):
        found.pop(entry, None)
    return {name: targets - {"syncd"} for name, targets in sorted(found.items())}


def package_of(module: str) -> str:
    """Return the package that stands for a module in the sheet."""
    top, _, rest = module.partition(".")
    return f"{top}.{rest.partition('.')[0]}" if top == "syncd" and rest else top


def floors() -> list[list[str]]:
    """Return the packages floor by floor, the highest first, as the layers contract orders them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("containers") == ["syncd"])
    rows = [[f"syncd.{name.strip()}" for name in re.split(r"[|:]", layer)] for layer in layers if layer != "__main__"]
    return [*rows[:-1], ["transports"], rows[-1], ["manifests"]]


def drawn(all_arrows: Arrows) -> Arrows:
    """Return the arrows without those that follow from two others."""
    reach: dict[str, set[str]] = {}

    def below(name: str) -> set[str]:
        if name not in reach:
            reach[name] = set().union(*({one} | below(one) for one in all_arrows[name]), set())
        return reach[name]

    return {
        name: {one for one in targets if not any(one in below(other) for other in targets - {one})}
        for name, targets in all_arrows.items()
    }


def picture(all_arrows: Arrows) -> str:
    """Return the sheet as SVG."""
    rows = floors()
    widest = max(len(row) for row in rows)
    width = LEFT + widest * (WIDTH + GAP)
    places: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        start = LEFT + (width - LEFT - len(row) * (WIDTH + GAP)) / 2
        for place, name in enumerate(row):
            places[name] = (start + place * (WIDTH + GAP), 20 + number * ROW)
    height = 20 + len(rows) * ROW
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'font-family="system-ui, sans-serif" font-size="14">'
        ),
        "<title>The packages of syncd, floor by floor, and their imports</title>",
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for name, targets in drawn(all_arrows).items():
        for other in sorted(targets):
            (x, y), (to_x, to_y) = places[name], places[other]
            x, y, to_x = x + WIDTH / 2, y + HEIGHT, to_x + WIDTH / 2
            bend = (to_y - y) / 2
            lines.append(
                f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}" '
                'fill="none" stroke="#64748b" stroke-opacity="0.65" marker-end="url(#tip)"/>'
            )
    for name, (x, y) in places.items():
        lines += [
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef2ff" stroke="#4f46e5"/>',
            (
                f'<text x="{x + WIDTH / 2:.0f}" y="{y + 20:.0f}" text-anchor="middle" fill="#1e1b4b">'
                f"{escape(name.removeprefix('syncd.'))}</text>"
            ),
            (
                f'<text x="{x + WIDTH / 2:.0f}" y="{y + 37:.0f}" text-anchor="middle" font-size="11" fill="#475569">'
                f"{_modules(name)} modules</text>"
            ),
        ]
    return "\n".join([*lines, "</svg>", ""])


def table(all_arrows: Arrows) -> Iterator[str]:
    """Yield the lines of the page's table: each package, its duty, and what it imports."""
    yield "| package | duty | imports |"
    yield "|---|---|---|"
    for row in floors():
        for name in row:
            imported = ", ".join(f"`{one.removeprefix('syncd.')}`" for one in sorted(all_arrows[name])) or "nothing"
            yield f"| `{name.replace('.', '/')}/` | {_duty(name)} | {imported} |"
    yield ""
    yield f"{len(all_arrows)} packages, {sum(map(len, all_arrows.values()))} arrows."


def written() -> Iterator[tuple[Path, str]]:
    """Yield the page and the picture with their texts."""
    all_arrows = arrows()
    text = PAGE.read_text("utf-8")
    between = re.compile(r"(<!-- packages -->\n).*?(<!-- end -->\n)", re.DOTALL)
    assert len(between.findall(text)) == 1, "docs/architecture.md has no place for the packages"
    inside = "\n".join(table(all_arrows)) + "\n"
    yield PAGE, between.sub(lambda found: found[1] + inside + found[2], text)
    yield PICTURE, picture(all_arrows)


def _folder(name: str) -> Path:
    return ROOT.joinpath(*name.split("."))


def _modules(name: str) -> int:
    return sum(1 for path in _folder(name).rglob("*.py") if path.name != "__init__.py")


def _duty(name: str) -> str:
    return ast.get_docstring(ast.parse((_folder(name) / "__init__.py").read_text("utf-8"))) or ""


if __name__ == "__main__":
    for path, text in written():
        path.write_text(text, "utf-8")
