"""What mkdocs does for this site beyond its plugins.

* The decisions of docs/adr are listed in the navigation.
* CHANGELOG, CONTRIBUTING and SECURITY stand at the top of the source tree, the glossary in the README, the JSON
  Schemas in their packages. They become pages and files of the site, with links that fit.
* Pages link to files of the source tree (`../deploy/syncd.yaml`), which is right where the source is browsed. The site
  holds the pages only, so there such a link becomes the path, as code.
* A page whose metadata say `lang: zh` is announced as Chinese to browsers and screen readers.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
FROM_THE_TOP = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "glossary.md": "README.md#The words",
}
SCHEMAS = ("manifests/mirror.schema.json", "syncd/config/syncd.schema.json")
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<up>(?:\.\./)+)(?P<path>[^)#]+)\)")
BETWEEN_CHINESE = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])")
FROM_TOP_LINK = re.compile(r"\]\((?P<path>[^):#]+)(?P<anchor>#[\w-]+)?\)")


def on_config(config: Any, **_: Any) -> Any:
    """List the decisions in the navigation, in the order of their numbers."""
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    section = next(
        part
        for item in config.nav
        if isinstance(item, dict)
        for part in item.get("Explanation", ())
        if "Decisions" in part
    )
    section["Decisions"] = [f"adr/{file.name}" for file in decisions]
    return config


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages whose text stands elsewhere in the source tree."""
    for page, source in FROM_THE_TOP.items():
        files.append(File.generated(config, page, content=_page(source)))
    for schema in SCHEMAS:
        page = f"reference/{Path(schema).name}"
        files.append(File.generated(config, page, content=(ROOT / schema).read_text("utf-8")))
    return files


def _page(source: str) -> str:
    name, _, heading = source.partition("#")
    text = (ROOT / name).read_text("utf-8")
    if heading:
        below = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        text = f"# {heading}\n{below}\n"
    return FROM_TOP_LINK.sub(_of_the_site, text)


def _of_the_site(found: re.Match[str]) -> str:
    """Return a link of a file at the top as a link of a page beside it."""
    path, anchor = found["path"], found["anchor"] or ""
    pages = {source.partition("#")[0]: page for page, source in FROM_THE_TOP.items()}
    if path in pages:
        return f"]({pages[path]})"
    return f"]({path.removeprefix('docs/') if path.startswith('docs/') else f'../{path}'}{anchor})"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files outside docs/ into their paths; join the lines of Chinese paragraphs without a space."""
    depth = page.file.src_uri.count("/")
    if page.meta.get("lang") == "zh":
        markdown = BETWEEN_CHINESE.sub("", markdown)
    return LINK.sub(lambda found: _path_of(found, depth), markdown)


def _path_of(found: re.Match[str], depth: int) -> str:
    if found["up"].count("../") <= depth:
        return found[0]  # another page
    path, text = found["path"], found["text"].strip("`")
    return f"`{path}`" if text.rstrip("/") == path.rstrip("/") else f"{text} (`{path}`)"


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Write the page's language into its first tag."""
    return output.replace('<html lang="en"', f'<html lang="{page.meta.get("lang", "en")}"', 1)
