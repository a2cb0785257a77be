"""How the code behaves: failures, tasks, the environment, purity, and exceptions to a tool."""

import ast
import re
from collections.abc import Iterator

from tests.lint.tree import Finding, Tree, dotted, rule

EVERYTHING = {"BaseException", "CancelledError"}
# The loop is closed by then: this is where an interruption becomes a number.
LAST_CATCH = {"syncd/process/event_loop.py"}
# the command line hands it to the configuration
ENVIRONMENT = {"syncd/config/locations.py", "syncd/cli/main.py", "syncd/cli/registration.py"}
IMPURE = {"asyncio", "socket", "time", "random", "threading", "subprocess", "aiohttp", "boto3"}
NO_REASON = re.compile(r"#\s*noqa(:\s*[A-Z]+\d+(\s*,\s*[A-Z]+\d+)*)?\s*$|#\s*type:\s*ignore(\[[^]]*\])?\s*$")
MARK = "# no" + "qa: T201"  # in two halves, so that it does not count here


def _caught(clause: ast.ExceptHandler) -> set[str]:
    kinds = clause.type.elts if isinstance(clause.type, ast.Tuple) else [clause.type]
    return {"" if kind is None else dotted(kind).rsplit(".", 1)[-1] for kind in kinds}


def _raises_again(clause: ast.ExceptHandler) -> bool:
    last = clause.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@rule(
    bites=[
        {"syncd/copy.py": "try: copy()\nexcept: pass\n"},
        {"syncd/copy.py": "try: copy()\nexcept Exception: raise\n"},
        {"syncd/copy.py": "try: copy()\nexcept (OSError, asyncio.CancelledError): pass\n"},
        {"syncd/copy.py": "try: copy()\nexcept BaseException as error: raise Failed from error\n"},
    ],
    allows=[
        {"syncd/copy.py": "try: copy()\nexcept OSError: pass\n"},
        {"syncd/copy.py": "try: copy()\nexcept BaseException:\n    close()\n    raise\n"},
    ],
)
def swallowed_failures(tree: Tree) -> Iterator[Finding]:
    """No clause catches every exception, and one that catches a cancellation ends by raising it again."""
    for file in tree.modules:
        if file.path in LAST_CATCH:
            continue
        for clause in file.nodes(ast.ExceptHandler):
            caught = _caught(clause)
            if caught & {"", "Exception"}:
                yield file.finding(
                    clause.lineno, "catches every exception, bugs included; name those that are expected"
                )
            elif caught & EVERYTHING and not _raises_again(clause):
                yield file.finding(clause.lineno, "catches a cancellation and does not end with `raise`")


@rule(
    bites=[
        {"syncd/copy.py": "task = asyncio.create_task(copy())\n"},
        {"syncd/copy.py": "asyncio.ensure_future(copy())\n"},
    ],
    allows=[
        {"syncd/copy.py": "task = asyncio.create_task(copy())  # owned by the caller, who awaits it\n"},
        {"syncd/copy.py": "group.create_task(copy())\n"},
    ],
)
def orphan_tasks(tree: Tree) -> Iterator[Finding]:
    """A task starts in a group, or its line says `# owned by` whom it is awaited."""
    for file in tree.modules:
        for call in file.nodes(ast.Call):
            starts = dotted(call.func) in {"asyncio.create_task", "asyncio.ensure_future"}
            if starts and "# owned by " not in file.lines[call.lineno - 1]:
                yield file.finding(call.lineno, "a task outside a group; say on the line who awaits it: # owned by …")


@rule(
    bites=[{"syncd/copy.py": "home = os.environ['HOME']\n"}, {"syncd/copy.py": "home = os.getenv('HOME')\n"}],
    allows=[{"syncd/cli/registration.py": "home = os.environ['HOME']\n"}],
)
def environment(tree: Tree) -> Iterator[Finding]:
    """Only the command line and the configuration read the environment."""
    for file in tree.modules:
        if file.path in ENVIRONMENT:
            continue
        for number, line in enumerate(file.lines, 1):
            if re.search(r"\bos\.(environ|getenv|putenv)", line):
                yield file.finding(number, f"reads the environment; only {', '.join(sorted(ENVIRONMENT))} may")


@rule(
    bites=[
        {"manifests/digest.py": "import asyncio.tasks\n"},
        {"manifests/digest.py": "def now():\n    from time import time\n"},
    ],
    allows=[{"manifests/digest.py": "import hashlib\n", "syncd/copy.py": "import asyncio\n"}],
)
def pure_manifests(tree: Tree) -> Iterator[Finding]:
    """A module of manifests/ imports no loop, clock, chance, thread, process or client library."""
    for file in tree.modules:
        if not file.path.startswith("manifests/"):
            continue
        imports = [(node.lineno, alias.name) for node in file.nodes(ast.Import) for alias in node.names]
        imports += [(node.lineno, node.module or "") for node in file.nodes(ast.ImportFrom)]
        for line, name in imports:
            if name.split(".")[0] in IMPURE:
                yield file.finding(line, f"imports {name}; manifests are pure")


@rule(
    bites=[
        {"syncd/copy.py": f"print(1)  {MARK}\n"},
        {"tests/unit/test_copy.py": "x = y  # type: ign" + "ore[name-defined]\n"},
    ],
    allows=[{"syncd/copy.py": f"print(1)  {MARK}  what the command prints\n"}],
)
def exceptions_have_reasons(tree: Tree) -> Iterator[Finding]:
    """An exception to ruff or mypy gives its reason on the same line."""
    for file in (*tree.modules, *tree.tests):
        for number, line in enumerate(file.lines, 1):
            if NO_REASON.search(line):
                yield file.finding(number, "an exception to a tool without its reason on the line")
