"""Texts for people: each is made by `message`, has its Chinese, and passes every encoder."""

import ast
import json
from collections.abc import Iterator
from string import Formatter

from tests.lint.tree import File, Finding, Tree, dotted, rule

TRANSLATIONS = "syncd/web/i18n/messages.zh.json"
MAKERS = {"message": 1, "template": 1, "count": 3}
"""The functions of `manifests.messages` that take templates, and how many arguments are looked at."""

# What takes a text that people read: errors, and functions and values that carry a reason.
TAKERS = {
    "Busy", "Changed", "ConfigError", "Damaged", "Denied", "DocumentError", "Exists", "Gap", "HttpError", "Interrupted",
    "InvalidValue", "KeyConflict", "LeaseLost", "Mismatch", "NoSpace", "NotFound", "Offline", "Parked",
    "PermanentError", "Quarantined", "Refused", "SnapshotError", "Stalled", "SyncdError", "TooLarge", "TransientError",
    "Unreachable", "Unsafe", "UnsafePath", "Unsupported", "unknown_key",
}  # fmt: skip

ENCODERS = {
    "msgspec.json.encode", "msgspec.json.Encoder", "msgspec.msgpack.encode", "msgspec.msgpack.Encoder",
    "msgspec.to_builtins",
}  # fmt: skip


def _made(file: File) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Yield each call that makes a message, and each of its templates."""
    for call in file.nodes(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id in MAKERS:
            yield from ((call, given) for given in call.args[: MAKERS[call.func.id]])


def templates(tree: Tree) -> set[str]:
    """Return every template of the program."""
    return {code for file in tree.modules for _, given in _made(file) for code in _literals(given)}


def _literals(node: ast.expr) -> list[str]:
    """Return the text of a literal, or those of a choice between literals."""
    if isinstance(node, ast.IfExp):
        return _literals(node.body) + _literals(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _fields(text: str) -> list[tuple[str, str, str]]:
    """Return the values that a template names, each with its format and conversion."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return [("not a template", "", "")]
    return sorted((name, spec or "", how or "") for _, name, spec, how in parts if name and name.isidentifier())


@rule(
    bites=[
        {"syncd/a.py": 'raise E(message("{path}: no", path=path))\n', TRANSLATIONS: "{}"},
        {"syncd/a.py": 'x = message("yes" if y else "no")\n', TRANSLATIONS: '{\n "yes": "是"\n}'},
        {"syncd/a.py": 'x = count(n, "{n} file", "{n:,} files")\n', TRANSLATIONS: '{\n "{n} file": "{n} 个文件"\n}'},
        {"syncd/a.py": 'x = message("{a}", a=1)\n', TRANSLATIONS: '{\n "{a}": "{b}"\n}'},
        {"syncd/a.py": 'x = message("{n:,} files", n=1)\n', TRANSLATIONS: '{\n "{n:,} files": "{n} 个文件"\n}'},
        {"syncd/a.py": "x = 1\n", TRANSLATIONS: '{\n "gone": "无"\n}'},
        {"syncd/a.py": 'x = message("gone")\n', TRANSLATIONS: '{\n "gone": "无",\n "gone": "没有"\n}'},
        {"syncd/a.py": 'x = message("gone")\n', TRANSLATIONS: '{\n "gone": "gone"\n}'},
        {"syncd/a.py": 'x = message("b")\ny = message("a")\n', TRANSLATIONS: '{\n "b": "乙",\n "a": "甲"\n}'},
    ],
    allows=[
        {
            "syncd/a.py": 'X = {"a": template("{n:,} files")}\nmessage(X["a"], n=1)\n',
            TRANSLATIONS: '{\n "{n:,} files": "{n:,} 个文件"\n}',
        },
        {"syncd/a.py": 'message("{what}: {todo}", what=1, todo=2)\n', TRANSLATIONS: '{\n "{what}: {todo}": "{what}：{todo}"\n}'},
    ],
)  # fmt: skip
def messages_have_their_chinese(tree: Tree) -> Iterator[Finding]:
    """Every template has its Chinese, with the same values, and the file holds no other ones, sorted, one a line."""
    catalogue = next(iter(tree.matching(TRANSLATIONS)), None)
    if catalogue is None:
        return
    pairs = json.loads(catalogue.text, object_pairs_hook=list) or []
    places = {code: number for number, (code, _) in enumerate(pairs, 2)}
    translated = dict(pairs)
    used = set[str]()
    for file in tree.modules:
        for call, given in _made(file):
            for code in _literals(given):
                used.add(code)
                if code not in translated:
                    yield file.finding(call.lineno, f"no Chinese in {TRANSLATIONS} for {code!r}")
    last = ""
    for number, (code, sentence) in enumerate(pairs, 2):
        if places[code] != number:
            yield catalogue.finding(number, f"stands twice: {code!r}")
        elif code not in used:
            yield catalogue.finding(number, f"no code says this: {code!r}")
        elif code < last:
            yield catalogue.finding(
                number, f"not sorted: {code!r} after {last!r}; see `python -m tests.lint.translate`"
            )
        if _fields(code) != _fields(sentence):
            yield catalogue.finding(number, f"other values than its template: {code!r}")
        elif sentence == code and any(word.isalpha() for word in "".join(_words(code)).split()):
            yield catalogue.finding(number, f"not translated: {code!r}")
        last = code


NAMED_WITH_DIGITS = {"md5", "sha256", "xxh3"}


@rule(
    bites=[{"syncd/a.py": 'x = message("{size} became {size2}", size=1, size2=2)\n'}],
    allows=[{"syncd/a.py": 'x = message("{before} became {after}, {sha256}", before=1, after=2, sha256=3)\n'}],
)
def values_have_names(tree: Tree) -> Iterator[Finding]:
    """A value is named after what it is: the translator sees nothing but its name."""
    for file in tree.modules:
        for call, given in _made(file):
            for name in {name for code in _literals(given) for name, _, _ in _fields(code)} - NAMED_WITH_DIGITS:
                if name[-1].isdigit():
                    yield file.finding(call.lineno, f"{name}: name the value after what it is")


def _words(code: str) -> Iterator[str]:
    for literal, *_ in Formatter().parse(code):
        yield literal


@rule(
    bites=[
        {"syncd/a.py": 'x = message(f"{path}: no")\n'},
        {"syncd/a.py": 'x = message("a" + b)\n'},
        {"syncd/a.py": 'x = template(f"{path}: no")\n'},
        {"syncd/a.py": 'x = message("{path}: no", file=path)\n'},
        {"syncd/a.py": 'x = message("no", file=path)\n'},
    ],
    allows=[
        {"syncd/a.py": 'x = message("{path}: no", path=path)\n'},
        {"syncd/a.py": 'x = message("{path}: {cause}", path=path, **more)\n'},
        {"syncd/a.py": "x = message(TEXTS[code], **values)\n"},
    ],
)
def templates_are_literals(tree: Tree) -> Iterator[Finding]:
    """A template is a literal, or comes from a table of templates, and gets the values that it names."""
    for file in tree.modules:
        for call, given in _made(file):
            if isinstance(given, ast.JoinedStr | ast.BinOp):
                yield file.finding(call.lineno, "a template is a literal; give its values by name")
            named = {keyword.arg for keyword in call.keywords}
            for code in _literals(given):
                wanted = {name for name, _, _ in _fields(code)}
                # without values the text stays as it is, braces and all
                if dotted(call.func) == "message" and named and None not in named and wanted != named:
                    yield file.finding(call.lineno, f"names {sorted(wanted)} and gets {sorted(map(str, named))}")


@rule(
    bites=[
        {"syncd/a.py": 'raise NotFound(f"{path}: no")\n'},
        {"syncd/a.py": 'raise errors.Busy("a pass runs")\n'},
        {"transports/a.py": 'x = KeyConflict("key", "is not known", "delete it")\n'},
        {"manifests/a.py": 'def f(self):\n    self.tree.wrong(place, path, "is wrong", todo)\n'},
        {"syncd/a.py": 'super().__init__(f"{path}: no")\n'},
    ],
    allows=[
        {"syncd/a.py": 'raise NotFound(message("{path}: no", path=path))\n'},
        {"syncd/a.py": 'raise ValueError("not a number")\n'},
        {"syncd/a.py": 'raise HttpError(404, "NotFound", reason, todo)\n'},
        {"syncd/a.py": "raise HttpError(401, 'Denied', reason, todo, WWW_Authenticate='Bearer realm=\"syncd\"')\n"},
    ],
)
def texts_for_people_are_messages(tree: Tree) -> Iterator[Finding]:
    """An error or reason that people read is made by `message`, so that it can be said in another language."""
    for file in tree.modules:
        for call in file.nodes(ast.Call):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)
            is_init = isinstance(call.func, ast.Attribute) and name == "__init__"
            if name not in TAKERS and name != "wrong" and not is_init:
                continue
            headers = {"WWW_Authenticate"}
            named = (keyword.value for keyword in call.keywords if keyword.arg not in headers)
            for given in (*call.args, *named):
                if isinstance(given, ast.JoinedStr) or any(
                    " " in text and "%(" not in text for text in _literals(given)
                ):
                    yield file.finding(given.lineno, f"write message(…), and its Chinese in {TRANSLATIONS}")


@rule(
    bites=[{"syncd/a.py": "x = msgspec.json.encode(view)\n"}, {"syncd/a.py": "x = msgspec.json.Encoder().encode\n"}],
    allows=[
        {"syncd/a.py": "x = msgspec.json.encode(view, enc_hook=plain)\n"},
        {"manifests/readers/a.py": "x = msgspec.json.encode(state)\n"},
    ],
)
def encoders_take_messages(tree: Tree) -> Iterator[Finding]:
    """Every encoder of syncd takes a Message: `enc_hook=plain`."""
    for file in tree.modules:
        if not file.path.startswith("syncd/"):
            continue
        for call in file.nodes(ast.Call):
            if dotted(call.func) in ENCODERS and not any(keyword.arg == "enc_hook" for keyword in call.keywords):
                yield file.finding(call.lineno, "add enc_hook=plain (manifests.messages): a value may be a Message")
