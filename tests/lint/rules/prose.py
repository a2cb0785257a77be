"""Plain English: words that a reader must decode, words with one plain name, and lines of Markdown that end in time.

`FOR_ALL` holds in every text, docstrings and messages included. `FOR_PEOPLE` holds where people who do not know the code
read: pages, messages, the status page. Identifiers, keys and names of events and metrics keep their words, so code is left
out of Markdown, and of Python only texts of several words are looked at.
"""

import ast
import json
import re
from collections.abc import Iterator

from tests.lint.tree import File, Finding, Tree, rule

# One line to change when `python -m tests.lint --report` finds nothing more in Python, templates and catalogues.
PYTHON_IS_CLEAR = True
MARKDOWN_IS_CLEAR = True

WIDTH = 120
WRITTEN = ("docs/metrics.md", "docs/reference/*.md", "docs/promises.md")  # from code: code's rule
SOURCES = "docs/sources.md"
MARKDOWN = ("*.md",)
LIBRARY = ("manifests/library/*.yaml",)  # their comments are shown by `syncd library`, and make docs/sources.md
TEMPLATES = ("syncd/*/templates/*.html",)
CATALOGUES = ("syncd/*/en.json",)

FOR_ALL = {
    "nobody": "say what does not happen, or who is not allowed to",
    "somebody": "name the person, the program or the cause",
    "whoever": "name the reader: operators, stewards, callers",
    "what is": "name the thing",
    "what lies": "name the thing",
    r"let(?:s|ting)? go(?: of)?": "delete, release, disconnect",
    r"(?:go|goes|going|gone|went) on with": "continue, resume",
    r"(?:put|puts|putting|kept|keep) aside": "archive, quarantine",
    "lest": "so that … not",
    "anew": "again",
    r"outranks?": "override",
    "otherwise than": "differently from",
    r"to be had|be had": "failed to download, unavailable",
}
FOR_PEOPLE = {
    r"digests?": "checksum",
    r"removals?": "deletion",
    r"parked|parking": "held for approval",
    r"declined": "rejected",
    r"objective": "freshness target",
    r"needs a look": "needs attention",
}
IN_CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->|https?://\S+")
# statements, the parts of them around a placeholder, and lists of columns
SQL = re.compile(r"\s*(?:ALTER|AND|CREATE|DELETE|FROM|INSERT|SELECT|UPDATE|WHERE|WITH)\b|\w+(?:, \w+)+$")
BETWEEN_MARKS = re.compile(r"<!-- (?!end)[^>]*-->\n.*?<!-- end[^>]*-->", re.DOTALL)
UNBREAKABLE = re.compile(r"\s*(?:[*>-] |\d+\. |\[[^\]]+\]: )?\S+")


def _of(words: dict[str, str]) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(rf"(?<![\w-])(?:{word})(?![\w-])", re.IGNORECASE), remedy) for word, remedy in words.items()]


EVERYWHERE = _of(FOR_ALL)
TO_PEOPLE = _of(FOR_PEOPLE)


def _said(text: str, words: list[tuple[re.Pattern[str], str]]) -> Iterator[str]:
    for pattern, remedy in words:
        for found in pattern.finditer(text):
            yield f"“{' '.join(found[0].split())}”: {remedy}"


def _prose(file: File) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page that a person wrote, by number: no code, and nothing that is written from code."""
    blank = BETWEEN_MARKS.sub(lambda found: "\n" * found[0].count("\n"), file.text)
    fence = ""
    for number, line in enumerate(blank.splitlines(), 1):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and not line.startswith("    "):
            yield number, line


def _pages(tree: Tree) -> list[File]:
    written = {file.path for file in tree.matching(*WRITTEN)}
    return [file for file in tree.matching(*MARKDOWN) if file.path not in written]


@rule(
    enforced=MARKDOWN_IS_CLEAR,
    bites=[{"docs/a.md": f"{'word ' * 25}\n"}, {"README.md": f"* {'word ' * 24}\n"}],
    allows=[
        {"docs/a.md": f"{'word ' * 24}\n\n    {'code ' * 30}\n\n```\n{'code ' * 30}\n```\n"},
        {"docs/a.md": f"| {'cell ' * 30} |\n\n* https://host.example/{'a' * 120}\n"},
        {"docs/metrics.md": f"{'word ' * 30}\n"},
    ],
)
def markdown_lines(tree: Tree) -> Iterator[Finding]:
    """No line of Markdown is longer than 120 characters; tables, code and single long words are."""
    for file in _pages(tree):
        if file.path == SOURCES:  # its lines are of titles and urls
            continue
        for number, line in _prose(file):
            long = len(line.rstrip()) > WIDTH
            if long and not line.lstrip().startswith("|") and not UNBREAKABLE.fullmatch(line.rstrip()):
                yield file.finding(number, f"{len(line)} characters: break the line before {WIDTH}")


@rule(
    enforced=MARKDOWN_IS_CLEAR,
    bites=[
        {"docs/a.md": "Nobody can write to it.\n"},
        {"docs/a.md": "The pass has gone on\nwith the rest.\n\nIt is gone on with.\n"},
        {"README.md": "Every digest is checked.\n"},
        {"CHANGELOG.md": "* Removals are parked.\n"},
        {"manifests/library/life/a.yaml": "# verified: sizes; the bucket publishes no digests\nmirror: a\n"},
    ],
    allows=[
        {"docs/a.md": "`guard.max_removed` limits deletions; the event is `removals_parked`.\n"},
        {"docs/a.md": "See [deletions](#removals).\n\n    echo nobody\n\n```\nsomebody\n```\n"},
        {"docs/a.md": "<!-- log -->\nSomebody changed it.\n<!-- end -->\n"},
        {"docs/a.md": "The almanac is renewed; a goal-driven, digest-free sentence.\n"},
        {"docs/metrics.md": "Nobody knows its size.\n"},
        {"manifests/library/life/a.yaml": "# verified: sizes\nmirror: digest\n"},
    ],
)
def plain_words_in_markdown(tree: Tree) -> Iterator[Finding]:
    """Pages, and the comments of the library, use the words of the field, one for each thing."""
    for file in _pages(tree):
        for number, line in _prose(file):
            for message in _said(IN_CODE.sub(" ", line), EVERYWHERE + TO_PEOPLE):
                yield file.finding(number, message)
    for file in tree.matching(*LIBRARY):
        for number, line in enumerate(file.lines, 1):
            if line.startswith("#"):
                for message in _said(IN_CODE.sub(" ", line), EVERYWHERE + TO_PEOPLE):
                    yield file.finding(number, message)


@rule(
    enforced=PYTHON_IS_CLEAR,
    bites=[
        {"syncd/copy.py": '"""Keep what lies where other bytes come."""\n'},
        {"syncd/copy.py": 'def f():\n    """Tell whoever waits."""\n'},
        {"transports/a.py": 'raise OSError(f"{path}: the digest does not match")\n'},
        {"syncd/web/templates/a.html": "<p>Let 4 files go?</p>\n<p>let go</p>\n"},
        {"syncd/web/i18n/en.json": '{"a": "1 file could not be had"}\n'},
    ],
    allows=[
        {"syncd/copy.py": '"""Compares the digest of a file."""\nKIND = "parked"\n'},
        {"syncd/copy.py": 'ROWS = f"SELECT path FROM {a} WHERE parked=0"\nNAMES = "path, size, parked"\n'},
        {"syncd/web/templates/a.html": "<p>{{ t('parked.what') }}</p>\n<p class=\"parked\">{{ parked }}</p>\n"},
        {"tests/unit/test_a.py": '"""Nobody waits."""\n'},
        {"syncd/web/i18n/en.json": '{"parked.one": "1 deletion is held for approval"}\n'},
    ],
)
def plain_words_in_code(tree: Tree) -> Iterator[Finding]:
    """Docstrings, messages, templates and the English catalogue use the words of the field."""
    for file in tree.modules:
        docstrings = {id(node) for node in _docstrings(file)}
        for node in file.nodes(ast.Constant):
            if not isinstance(node.value, str) or SQL.match(node.value):
                continue
            if id(node) in docstrings or len(node.value.split()) > 2:
                words = EVERYWHERE if id(node) in docstrings else EVERYWHERE + TO_PEOPLE
                for message in _said(IN_CODE.sub(" ", node.value), words):
                    yield file.finding(node.lineno, message)
    for file in tree.matching(*TEMPLATES):
        for number, line in enumerate(file.lines, 1):
            for message in _said(re.sub(r"\{[{%#].*?[}%#]\}|<[^>]*>", " ", line), EVERYWHERE + TO_PEOPLE):
                yield file.finding(number, message)
    for file in tree.matching(*CATALOGUES):
        for number, line in enumerate(file.lines, 1):
            for message in _said(
                " ".join(json.loads(f"{{{line.strip().strip('{},')}}}").values()), EVERYWHERE + TO_PEOPLE
            ):
                yield file.finding(number, message)


def _docstrings(file: File) -> Iterator[ast.Constant]:
    """Yield every text that stands alone: docstrings of modules, classes, functions and fields."""
    for node in file.nodes(ast.Expr):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value
