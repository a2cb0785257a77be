"""Where things stand, and how long a module is."""

from collections.abc import Iterator

from tests.lint.tree import PACKAGES, Finding, Tree, rule

FOLDERS = {*PACKAGES, "deploy", "tests", "docs", ".ci"}
MAX_LINES = 500


@rule(bites=[{"scripts/run.py": ""}], allows=[{"deploy/demo/run.py": "", "README.md": ""}])
def top_folders(tree: Tree) -> Iterator[Finding]:
    """Only the agreed folders stand at the top of the tree."""
    told = set[str]()
    for file in tree.files:
        folder, below, _ = file.path.partition("/")
        if below and folder not in FOLDERS | told:
            told.add(folder)
            yield file.finding(0, f"{folder}/ is not one of the folders at the top: {', '.join(sorted(FOLDERS))}")


@rule(bites=[{"syncd/long.py": "x = 1\n" * (MAX_LINES + 1)}], allows=[{"syncd/long.py": "x = 1\n" * MAX_LINES}])
def module_length(tree: Tree) -> Iterator[Finding]:
    """A module of the program has at most 500 lines: it is read in one sitting."""
    for file in tree.modules:
        if len(file.lines) > MAX_LINES:
            yield file.finding(MAX_LINES + 1, f"{len(file.lines)} lines; a module has at most {MAX_LINES}")
