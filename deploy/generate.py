"""Writes what follows from something else: `make docs` runs it, and a test holds every file equal to what it writes.

* deploy/kubernetes: the alert rules of deploy/prometheus, as a PrometheusRule and for the chart.
* syncd/config/syncd.schema.json: the JSON Schema of syncd.yaml, for editors.
* docs/operating.md: the keys of syncd.yaml, the lines of the log, and how much memory, each between `<!-- name -->` and
  `<!-- end -->`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from manifests.model.mirror import without_null
from manifests.yaml.field_docs import field_docs
from syncd.config import BudgetSettings, Config
from syncd.core import KINDS
from syncd.engine import WIDTH
from syncd.process import LEVELS, event_name
from syncd.streams import IN_MEMORY
from transports.http.protocol import BUFFER

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "deploy" / "prometheus" / "syncd.rules.yml"
KUBERNETES = ROOT / "deploy" / "kubernetes"

SCHEMA = ROOT / "syncd" / "config" / "syncd.schema.json"
OPERATING = ROOT / "docs" / "operating.md"
MB = 1 << 20
CONSTANT = 200 * MB  # interpreter and libraries, the Catalogue's caches, threads that hash, the page and its answers
WORKER = 80 * MB  # a worker process beside the bytes in flight, which count as those of the pass
PUBLISH = 176 * MB  # shards that are read, edited and packed, rows of the index; ten million files, scattered changes
HELD = 3 * BUFFER  # what a connection holds while its body is not read (transports/http/protocol.py)

RULE = """\
# Written by `make docs` from deploy/prometheus/syncd.rules.yml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: syncd
  labels: {app.kubernetes.io/name: syncd, app.kubernetes.io/component: daemon, app.kubernetes.io/part-of: syncd}
spec:
"""


def written() -> Iterator[tuple[Path, str]]:
    """Yield every file that is written, and its text."""
    rules = RULES.read_text("utf-8")
    groups = rules[rules.index("\ngroups:\n") + 1 :]
    indented = "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))
    yield KUBERNETES / "monitoring" / "prometheusrule.yaml", RULE + indented
    yield KUBERNETES / "chart" / "files" / "syncd.rules.yml", groups
    yield SCHEMA, json.dumps(_schema(), indent=2) + "\n"
    text = OPERATING.read_text("utf-8")
    for name, lines in (("keys", _keys()), ("log", _log()), ("memory", _memory(BudgetSettings()))):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->\n)", re.DOTALL)
        assert len(between.findall(text)) == 1, name
        inside = "".join(f"{line}\n" for line in lines)
        text = between.sub(lambda found, inside=inside: found[1] + inside + found[2], text)
    yield OPERATING, text


def _schema() -> dict[str, Any]:
    """Return the JSON Schema by which editors complete syncd.yaml."""
    found: dict[str, Any] = without_null(Config.model_json_schema())
    address = "https://syncd.example/docs/reference/syncd.schema.json"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": address}
    return {**head, **found, "title": "syncd.yaml"}


def bound(budget: BudgetSettings, workers: int) -> int:
    """Return the most bytes of memory that a daemon, its workers and one publish of millions of files need."""
    surveys = budget.passes * WIDTH * IN_MEMORY
    return CONSTANT + budget.memory + budget.connections * HELD + surveys + PUBLISH + workers * WORKER


def _memory(budget: BudgetSettings) -> Iterator[str]:
    yield "| what | how much | with the defaults, on two processors |"
    yield "|---|---|---|"
    rows = (
        ("interpreter, libraries, caches", f"{CONSTANT // MB} MiB", CONSTANT),
        ("bytes in flight", "`budget.memory`", budget.memory),
        ("connections", f"`budget.connections` × {HELD // 1024} KiB", budget.connections * HELD),
        ("surveys", f"`budget.passes` × {WIDTH} × {IN_MEMORY // 1024} KiB", budget.passes * WIDTH * IN_MEMORY),
        ("a publish of a mirror of millions", f"{PUBLISH // MB} MiB", PUBLISH),
        ("worker processes", f"`workers` × {WORKER // MB} MiB", 2 * WORKER),
    )
    for what, formula, size in rows:
        yield f"| {what} | {formula} | {size // MB} MiB |"
    yield f"| **at most** | the sum | **{bound(budget, 2) // MB} MiB** |"


def _keys() -> Iterator[str]:
    yield "| key | default | what it says |"
    yield "|---|---|---|"
    yield from _of(Config, "")


def _of(model: type[BaseModel], before: str) -> Iterator[str]:
    says = field_docs(model)
    for name, field in model.model_fields.items():
        inner, shape = _inside(field.annotation)
        key = f"{before}{name}{shape}"
        yield f"| `{key}` | {'' if inner is not None else _default(field)} | {says[name]} |"
        if inner is not None and inner.__name__ != "Secret":
            yield from _of(inner, f"{key}.")


def _inside(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the model that a field holds, and how it holds it: once, as a list, by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    parts = get_args(annotation)
    if get_origin(annotation) is dict:
        return _inside(parts[1])[0], ".NAME"
    if get_origin(annotation) is tuple and parts:
        inner = _inside(parts[0])[0]
        return inner, "[]" if inner is not None else ""
    if isinstance(annotation, UnionType):
        return next((found for part in parts if (found := _inside(part)[0]) is not None), None), ""
    return None, ""


def _default(field: FieldInfo) -> str:
    said = field.json_schema_extra
    if isinstance(said, dict) and "default" in said:
        return f"`{said['default']}`"
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value in ((), frozenset(), {}):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _log() -> Iterator[str]:
    yield "| event | level | fields | when |"
    yield "|---|---|---|---|"
    for kind in KINDS:
        level = LEVELS.get(kind, "info")
        fields = ", ".join(f"`{name}`" for name in kind.__match_args__)
        when = " ".join((kind.__doc__ or "").split())
        yield f"| `{event_name(kind)}` | {level or 'not written'} | {fields} | {when} |"


if __name__ == "__main__":
    for file, text in written():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
