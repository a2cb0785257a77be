"""Schemas of XML documents, compiled once a run, and what they say of a document."""

from functools import cache

import pytest

from tests.exchange.publications import schema


@cache
def compiled(name):
    etree = pytest.importorskip("lxml.etree", reason="lxml validates XML")
    return etree.XMLSchema(etree.parse(str(schema(name)), etree.XMLParser(no_network=True)))


def parsed(body):
    """Return the root of a document, if it is well-formed."""
    etree = pytest.importorskip("lxml.etree", reason="lxml parses XML")
    return etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))


def faults(name, root):
    """Return what the schema says against a document; elements of other schemas are lax."""
    found = compiled(name)
    return [] if found.validate(root) else [str(one) for one in found.error_log]
