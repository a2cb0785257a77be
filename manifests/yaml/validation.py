"""Validates a YAML file against its pydantic model: returns the value, or every mistake with line, column and remedy.

Rules:
1. Messages quote no text of the file unless a validator does so explicitly: a mistyped secret is not printed.
2. Conflicts between keys are reported together with errors inside them.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.yaml.field_docs import describe
from manifests.yaml.yaml_tree import Path, Position, YamlTree, dotted

Model = TypeVar("Model", bound=BaseModel)

UNKNOWN_KEY = "unknown_key"
Advice = Callable[[Path, Any], tuple[str, str] | None]
"""Given a path and the value there, returns fault and remedy of a common mistake."""

STRICT = ConfigDict(
    extra="forbid",
    frozen=True,
    hide_input_in_errors=True,
    json_schema_extra=describe,
    defer_build=True,  # most files use few of the possible parts, and most commands read no file
)
"""The pydantic configuration of all models of files that people write."""


class KeyConflict(NamedTuple):
    """Keys that cannot be combined: the key at fault, the fault, the remedy."""

    key: str
    what: str
    todo: str


def validated(
    raw: Any,
    handler: ModelWrapValidatorHandler[Model],
    clashes: Iterable[KeyConflict],
    more: Iterable[InitErrorDetails] = (),
) -> Model:
    """Validate one model together with its conflicts and `more` faults: the body of a `wrap` validator."""
    found = [
        InitErrorDetails(
            type="value_error", loc=(key,) if key else (), input=None, ctx={"error": InvalidValue(what, todo)}
        )
        for key, what, todo in clashes
    ]
    found.extend(more)
    try:
        made = handler(raw)
    except ValidationError as error:
        if not found:
            raise
        inner = [again(one) for one in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(error.title, [*found, *inner], hide_input=True) from error
    if found:
        raise ValidationError.from_exception_data(type(made).__name__, found, hide_input=True)
    return made


def again(one: ErrorDetails) -> InitErrorDetails:
    """Return one of pydantic's errors so that it can be raised again."""
    kind: Any = one["type"]
    context = one.get("ctx", {})
    if kind == UNKNOWN_KEY:
        kind, context = PydanticCustomError(UNKNOWN_KEY, "{what}: {todo}", context), {}
    return InitErrorDetails(type=kind, loc=one["loc"], input=None, ctx=context)


def unknown_key(loc: tuple[int | str, ...], what: str, todo: str) -> InitErrorDetails:
    """Return the error of a key that is not allowed: the fault and the remedy."""
    context = {"what": what, "todo": todo}
    return InitErrorDetails(type=PydanticCustomError(UNKNOWN_KEY, "{what}: {todo}", context), loc=loc, input=None)


def unknown(key: str, known: Iterable[str]) -> tuple[str, str]:
    """Return fault and remedy of a key that is not among the `known` ones."""
    known = tuple(known)
    meant = nearest(key, known)
    return message("is not a known key"), message("did you mean {meant}?", meant=meant) if meant else message(
        "delete it; known here: {known}", known=known
    )


def keys(model: type[BaseModel], path: tuple[int | str, ...] = ()) -> tuple[str, ...]:
    """Return the keys that a person may write in the model at `path`."""
    return _keys(model, path)


def load(
    text: str | bytes,
    file: str,
    model: type[Model],
    context: Mapping[str, Any] | None = None,
    advise: Advice | None = None,
) -> Model:
    """Read one file as one model; raises ManifestError with all its problems.

    `advise` is asked about each faulty place what was meant; None means the usual words.
    """
    from manifests.yaml.parse import read  # noqa: PLC0415  most commands read no file, and its parser is slow to import

    tree = read(text, file)
    if not tree.values:
        tree.refuse()
    told = {problem.where for problem in tree.problems}
    try:
        made = model.model_validate(tree.root, context=dict(context or {}))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _add_problem(tree, model, detail, told, advise)
        raise tree.error() from error
    tree.refuse()
    return made


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to `word`."""
    folded = {one.replace("_", "").casefold(): one for one in known}
    close = difflib.get_close_matches(word.replace("_", "").replace("-", "").casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def _add_problem(
    tree: YamlTree, model: type[BaseModel], detail: ErrorDetails, told: set[str], advise: Advice | None
) -> None:
    """Report one of pydantic's errors at its position in the file."""
    path, missing = _within(tree, detail["loc"])
    kind, context = detail["type"], detail.get("ctx", {})
    at_key = tree.keys.get(path)
    place = tree.values.get(path, Position(1, 1))
    if kind == "missing":
        key = str(missing[-1]) if missing else ""
        tree.wrong(
            at_key or place,
            (*path, key),
            message("is missing"),
            message("add {key} to {path}", key=key, path=dotted(path) or message("the top of the file")),
        )
        return
    if dotted(path) in told:
        return  # the value's own problem was reported when it was parsed
    advice = advise(path, tree.at(path)) if advise is not None else None
    if advice is not None:
        tree.wrong(at_key if kind in {"extra_forbidden", UNKNOWN_KEY} and at_key else place, path, *advice)
    elif kind == "extra_forbidden":
        tree.wrong(at_key or place, path, *unknown(str(path[-1]) if path else "", _keys(model, path[:-1])))
    elif kind == UNKNOWN_KEY:
        tree.wrong(at_key or place, path, context["what"], context["todo"])
    elif kind == "value_error" and isinstance(context.get("error"), InvalidValue):
        tree.wrong(place, path, context["error"].what, context["error"].todo)
    else:
        tree.wrong(place, path, *_plain(kind, context, detail["msg"]))


def _within(tree: YamlTree, loc: tuple[int | str, ...]) -> tuple[Path, tuple[int | str, ...]]:
    """Split pydantic's location into a path that is in the file, and the rest (a missing key, a union's branch)."""
    path: Path = ()
    beside: list[int | str] = []
    for part in loc:
        if (*path, part) in tree.values:
            path = (*path, part)
            beside.clear()
        else:
            beside.append(part)
    return path, tuple(beside)


def _keys(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """Return the keys that the model has at `path`."""
    inner: Any = model
    for part in path:
        if get_origin(inner) in {dict, tuple, list}:
            is_named = get_origin(inner) is dict or isinstance(part, int)
            inner = [one for one in get_args(inner) if one is not Ellipsis][-1]
            if is_named:
                continue  # otherwise the value is one that may also be a list
        fields = _fields(inner)
        if str(part) not in fields:
            return ()
        inner = fields[str(part)]
    return tuple(_fields(inner))


def _fields(annotation: Any) -> dict[str, Any]:
    """Return the keys and types of the model that an annotation is, or may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
    return next((found for one in get_args(annotation) if (found := _fields(one))), {})


_PLAIN = {
    "string_type": (message("is not text"), message("put the value in quotes")),
    "bool_type": (message("is neither true nor false"), message("write true or false")),
    "bool_parsing": (message("is neither true nor false"), message("write true or false")),
    "int_type": (message("is not a whole number"), message("write a whole number without quotes")),
    "int_parsing": (message("is not a whole number"), message("write a whole number without quotes")),
    "int_from_float": (message("is not a whole number"), message("write a whole number")),
    "tuple_type": (message("is not a list"), message('write it as a list, as in ["one", "two"]')),
    "list_type": (message("is not a list"), message('write it as a list, as in ["one", "two"]')),
    "frozen_set_type": (message("is not a list"), message('write it as a list, as in ["one", "two"]')),
    "model_type": (message("is not a mapping"), message("write keys and values below it")),
    "dict_type": (message("is not a mapping"), message("write keys and values below it")),
    "string_pattern_mismatch": (
        message("has characters that are not allowed"),
        message("use letters, digits, ., _ and -"),
    ),
    "string_too_short": (message("is empty"), message("write it, or delete the key")),
    "too_short": (message("is empty"), message("name at least one, or delete the key")),
}


def _plain(kind: str, context: Mapping[str, Any], text: str) -> tuple[str, str]:
    """Return fault and remedy for one of pydantic's own errors."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "literal_error":
        return message("is not an allowed value; allowed: {expected}", expected=context["expected"]), message(
            "write one of these"
        )
    if kind in {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}:
        sign = {"greater_than_equal": "≥", "less_than_equal": "≤", "greater_than": ">", "less_than": "<"}[kind]
        bound = next(iter(context.values()))
        return message("is out of range"), message("write a number {sign} {bound}", sign=sign, bound=bound)
    if kind == "string_too_long":
        return message("is too long"), message("use at most {max_length} characters", max_length=context["max_length"])
    return text[:1].lower() + text[1:], message("see docs/writing-a-manifest.md")
