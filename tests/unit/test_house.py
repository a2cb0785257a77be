"""The house's own rules, where a linter has no word for them: folders, words, failures, tasks, reasons."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from blockbuster import BlockingError

ROOT = Path(__file__).parents[2]
PACKAGES = ("syncd", "transports", "manifests")
FOLDERS = {*PACKAGES, "deploy", "tests", "docs", ".ci"}
GIVEN = {"data_received"}  # names that a library calls
FORBIDDEN = {"item", "record", "resource", "handler", "manager", "helper", "util", "data", "info"}
EVERYTHING = {"BaseException", "CancelledError"}
MAX_LINES = 500

# Names that still wait for a better word. The list only ever gets shorter: a name that is gone must leave it.

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SPEAKING = [path for path in MODULES if path.name != "__init__.py"]


def named(path):
    return str(path.relative_to(ROOT))


def words_of(name):
    """The words of a name, lower case and singular: `HTTPHandlers` gives http, handler."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return {part.lower() for part in parts} | {part.lower().removesuffix("s") for part in parts}


def swallowed(tree):
    """Every clause that catches all there is, or a cancellation, and does not end by raising it again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {"" if kind is None else ast.unparse(kind).rsplit(".", 1)[-1] for kind in kinds}
            if names & {"", "Exception"} or (names & EVERYTHING and not is_raise(node.body[-1])):
                yield node.lineno, *sorted(names)


def is_raise(statement):
    return isinstance(statement, ast.Raise) and statement.exc is None


def test_only_the_agreed_folders_stand_at_the_top():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("no git here: an unpacked source archive")
    assert {path.split("/")[0] for path in tracked.stdout.splitlines() if "/" in path} <= FOLDERS


@pytest.mark.parametrize("path", SPEAKING, ids=named)
def test_a_module_says_first_what_it_is_for(path):
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, "no docstring"
    assert len(said.splitlines()[0].split()) >= 4


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_is_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_names_are_the_words_of_the_house():
    wrong = set()
    for path in MODULES:
        names = {path.stem}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
        wrong |= {
            f"{named(path)}: {name}"
            for name in names
            if name not in GIVEN
            and not (name.startswith("__") and name.endswith("__"))
            and (words_of(name) & FORBIDDEN or re.match(r"_*(process|do)_", name))
        }
    assert wrong == set()


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_swallows_a_bug_or_a_cancellation(path):
    if named(path) == "syncd/running.py":  # the loop is closed by then: this is where an interruption becomes a number
        return
    assert list(swallowed(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_task_is_an_orphan(path):
    text = path.read_text()
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    lines = text.splitlines()
    wrong = [
        call.lineno
        for call in calls
        if ast.unparse(call.func) in {"asyncio.create_task", "asyncio.ensure_future"}
        and "# owned by " not in lines[call.lineno - 1]  # where no group can stand: who awaits it, on the line
    ]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_the_environment_is_named_where_the_program_begins_and_nowhere_else(path):
    if named(path) in {"syncd/config.py", "syncd/cli.py"}:  # the command line hands it to the configuration
        return
    assert re.search(r"\bos\.(environ|getenv|putenv)", path.read_text()) is None


@pytest.mark.parametrize("path", [path for path in MODULES if named(path).startswith("manifests/")], ids=named)
def test_manifests_are_pure(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            imported.add(node.module.split(".")[0])
    assert imported & {"asyncio", "socket", "time", "random", "threading", "subprocess", "aiohttp", "boto3"} == set()


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))], ids=named)
def test_every_exception_to_a_tool_has_its_reason_on_the_line(path):
    wrong = [
        number
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*noqa(:\s*[A-Z]+\d+(\s*,\s*[A-Z]+\d+)*)?\s*$|#\s*type:\s*ignore(\[[^]]*\])?\s*$", line)
    ]
    assert wrong == []


async def test_a_call_of_ours_that_blocks_the_loop_is_noticed():
    ours = compile("import time\ntime.sleep(0)", ROOT / "syncd" / "imagined.py", "exec")
    with pytest.raises(BlockingError):
        exec(ours, {})
