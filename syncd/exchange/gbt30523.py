"""Writes the core elements of GB/T 30523 (metadata of science and technology resources), by their Chinese names.

The portals that use the standard publish no schema and no interface to read from, so this is a document to hand over:
one element for each row of the table. A further element of the standard is a further row.
"""

from collections.abc import Callable, Mapping

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import clean, document, element, instant, tag
from syncd.exchange.publication import Publication, preferred


def _identifier(held: Publication) -> list[str]:
    found = held.identifier("cstr") or held.identifier("doi")
    return [held.url if found is None else f"{found.scheme.upper()}:{found.value}"]


def _licence(held: Publication) -> list[str]:
    licence = licence_of(held.licence)
    return ["未说明"] if licence is None else [licence.text]


ELEMENTS: Mapping[str, Callable[[Publication], list[str]]] = {
    "标识符": _identifier,
    "资源名称": lambda held: [preferred(held.titles, "zh") or held.name],
    "描述": lambda held: [preferred(held.texts, "zh")],
    "关键词": lambda held: list(dict.fromkeys((*held.themes, *held.keywords))),
    "生成日期": lambda held: [instant(held.version.created)[:10]],
    "注册日期": lambda held: [instant(held.published)[:10]],
    "最近更新日期": lambda held: [instant(held.updated)[:10]],
    "创建者": lambda held: [preferred(one.names, "zh") for one in held.creators],
    "提供者": lambda held: [preferred(held.node.publisher.names, "zh") or held.node.name],
    "来源": lambda held: [held.original],
    "访问限制": lambda held: [{"open": "开放", "registered": "注册后访问", "restricted": "受限"}[held.access]],
    "使用许可": _licence,
    "资源链接": lambda held: [held.url],
    "版本": lambda held: [held.version.short],
}
"""By the name of the element: its values; empty ones are left out."""


def gbt30523(held: Publication) -> bytes:
    """Return the document."""
    rows = [(name, text) for name, values in ELEMENTS.items() for text in values(held)]
    return document(
        element("元数据", {"标准": "GB/T 30523"}, *(tag(name, text) for name, text in rows if clean(text).strip()))
    )
