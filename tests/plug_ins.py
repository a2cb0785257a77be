"""The plug-ins in docs/writing-a-reader.md and docs/writing-a-transport.md, as packages of their own."""

import ast
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"syncd_tsv": "writing-a-reader.md", "syncd_zip": "writing-a-transport.md"}
OURS = ("manifests", "syncd", "transports")

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"
dependencies = ["syncd"]

[tool.hatch.build.targets.wheel]
include = ["{module}.py"]

"""


def page(module):
    return (DOCS / PAGES[module]).read_text("utf-8")


def block(module, language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page(module), re.MULTILINE | re.DOTALL)
    return found


def write_package(module, folder):
    """Write the package of a page: its module, and a pyproject.toml with the entry point of the page."""
    folder.mkdir(parents=True)
    (folder / f"{module}.py").write_text(block(module, "python"))
    project = PROJECT.format(name=module.replace("_", "-"), module=module) + block(module, "toml")
    (folder / "pyproject.toml").write_text(project)
    return folder


def imports(source):
    """Return the (module, name) pairs that a source file imports from syncd; the name is "" for a whole module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found |= {(node.module or "", one.name) for one in node.names}
        elif isinstance(node, ast.Import):
            found |= {(one.name, "") for one in node.names}
    return {(module, name) for module, name in found if module.partition(".")[0] in OURS}


def documented(module, heading):
    """Return the names in the first column of the table under a heading of a page."""
    section = page(module).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
