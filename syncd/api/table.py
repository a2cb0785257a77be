"""The table of routes in docs/api.md; `python -m syncd.api.table` updates it."""

from pathlib import Path

from syncd.api.rest import ROUTES

BEGIN, END = "<!-- the table of routes, made by python -m syncd.api.table -->", "<!-- end of the table -->"
_NEEDS = {None: "none", "reader": "reader", "steward": "**steward**", "operator": "**operator**"}


def table() -> str:
    """Return the table, in the order of the routes."""
    lines = ["| request | token | what | parameters |", "|---|---|---|---|"]
    for route in ROUTES:
        fields = (*(route.query.__struct_encode_fields__ if route.query else ()),)
        body = f"body: {', '.join(f'`{one}`' for one in route.body.__struct_fields__)}" if route.body else ""
        asked = ", ".join(f"`{one}`" for one in fields)
        lines.append(f"| `{route.method} {route.path}` | {_NEEDS[route.role]} | {route.summary} | {asked or body} |")
    return "\n".join(lines)


def renewed(text: str) -> str:
    """Return the page with the current table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    page = Path("docs/api.md")
    page.write_text(renewed(page.read_text("utf-8")), "utf-8")
