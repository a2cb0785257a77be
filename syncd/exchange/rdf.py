"""Writes one RDF graph as JSON-LD, Turtle and RDF/XML.

A graph is a list of nodes as in JSON-LD: `@id` (absent for a node without an address), `@type`, and properties whose
values are nodes, `{"@id": …}`, or `{"@value": …}` with `@language` or `@type`. Names are prefixed by PREFIXES.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import starmap
from typing import Any

from syncd.exchange.markup import Markup, clean, cleaned, document, element, json_document, language

PREFIXES = {
    "adms": "http://www.w3.org/ns/adms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geo": "http://www.opengis.net/ont/geosparql#",
    "hydra": "http://www.w3.org/ns/hydra/core#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "spdx": "http://spdx.org/rdf/terms#",
    "syncd": "https://syncd.example/ns#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
Described = Mapping[str, Any]  # a node, or a value

_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TO_ESCAPE = re.compile(r'[\\"\n\r\t]')
_NAME = re.compile(r"[A-Za-z][\w-]*")


def localised(texts: Mapping[str, str]) -> list[Described]:
    """Return texts as values with their languages."""
    return [
        {"@value": text, "@language": tag} if (tag := language(key)) else {"@value": text}
        for key, text in texts.items()
        if clean(text)
    ]


def typed(value: str, kind: str) -> Described:
    """Return a value of a datatype, as in `xsd:dateTime`."""
    return {"@value": value, "@type": kind}


def json_ld(graph: Sequence[Described]) -> bytes:
    """Return the graph as JSON-LD with its own context: no reader must fetch one."""
    return json_document({"@context": PREFIXES, "@graph": list(graph)})


def turtle(graph: Sequence[Described]) -> bytes:
    """Return the graph as Turtle; a node that has an address stands by itself."""
    lines = [f"@prefix {prefix}: <{space}> .\n" for prefix, space in PREFIXES.items()]
    waiting = [dict(cleaned(one)) for one in graph]
    while waiting:
        node = waiting.pop(0)
        lines.append(f"\n<{node['@id']}> {_predicates(node, waiting, '    ')} .\n")
    return "".join(lines).encode()


def _predicates(node: Described, waiting: list[dict[str, Any]], indent: str) -> str:
    parts = [f"a {node['@type']}"] if "@type" in node else []
    for name, value in _properties(node):
        parts.append(f"{name} {_object(value, waiting, indent)}")
    return f" ;\n{indent}".join(parts)


def _object(value: Described, waiting: list[dict[str, Any]], indent: str) -> str:
    if "@value" in value:
        text = f'"{_TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], value["@value"])}"'
        if "@language" in value:
            return f"{text}@{value['@language']}"
        return f"{text}^^{value['@type']}" if "@type" in value else text
    if "@id" in value:
        if len(value) > 1:
            waiting.append(dict(value))
        return f"<{value['@id']}>"
    return f"[ {_predicates(value, waiting, f'{indent}    ')} ]"


def rdf_xml(graph: Sequence[Described]) -> bytes:
    """Return the graph as RDF/XML; nodes stand where they are used."""
    spaces = {f"xmlns:{prefix}": space for prefix, space in PREFIXES.items()}
    return document(element("rdf:RDF", spaces, *(_node(cleaned(one)) for one in graph)))


def _node(node: Described) -> Markup:
    about = {"rdf:about": node["@id"]} if "@id" in node else {}
    return element(node.get("@type", "rdf:Description"), about, *starmap(_property, _properties(node)))


def _property(name: str, value: Described) -> Markup:
    if "@value" in value:
        return element(
            name, {"xml:lang": value.get("@language"), "rdf:datatype": _expanded(value.get("@type"))}, value["@value"]
        )
    if set(value) == {"@id"}:
        return element(name, {"rdf:resource": value["@id"]})
    return element(name, {}, _node(value))


def _properties(node: Described) -> Iterator[tuple[str, Described]]:
    for name, given in node.items():
        if not name.startswith("@"):
            for value in given if isinstance(given, list) else [given]:
                yield name, value


def _expanded(name: str | None) -> str | None:
    if name is None:
        return None
    prefix, _, local = name.partition(":")
    return PREFIXES[prefix] + local
