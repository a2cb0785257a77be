"""JSON-LD as portals write it, read without a processor: nodes by id, properties by their local names.

A property may stand as `dcat:downloadURL`, as the whole IRI or as the bare word; a value as text, `{"@value": …}`, a
node, a reference to a node elsewhere in the document, or a list of these (JSON-LD 1.1, sections 3 and 4). Contexts are
never loaded: a document that renames its terms in a context of its own is not understood.
"""

from collections.abc import Iterator

Node = dict[str, object]
MAX_DEPTH = 60  # of nested nodes


def local_name(name: str) -> str:
    """Return a property's or a type's name without its prefix or namespace."""
    for mark in ("#", "/", ":"):
        name = name.rpartition(mark)[2]
    return name


class NodeGraph:
    """The nodes of one document."""

    def __init__(self, document: object) -> None:
        """`document` is parsed JSON: a node, a list of nodes, or an object with a `@graph`."""
        self.nodes: list[Node] = []
        self._by_id: dict[str, Node] = {}
        waiting: list[tuple[object, int]] = [(document, 0)]
        while waiting:
            value, depth = waiting.pop()
            if depth > MAX_DEPTH:
                continue
            if isinstance(value, list):
                waiting.extend((one, depth + 1) for one in reversed(value))
            elif isinstance(value, dict):
                self._add(value)
                inner = [one for name, one in value.items() if name != "@context"]
                waiting.extend((one, depth + 1) for one in reversed(inner))

    def _add(self, found: Node) -> None:
        if "@value" in found or "@graph" in found:
            return
        key = found.get("@id")
        if isinstance(key, str) and len(found) > 1:
            self._by_id.setdefault(key, found)
        if len(found) > 1 or key is None:
            self.nodes.append(found)

    def of_type(self, *names: str) -> Iterator[Node]:
        """Yield the nodes of one of these types, in the order of the document."""
        for found in self.nodes:
            if types(found) & set(names):
                yield found

    def values(self, node: Node, *names: str) -> list[object]:
        """Return the values of the first of these properties that the node has; references become their nodes."""
        for name in names:
            for key, value in node.items():
                if not key.startswith("@") and local_name(key) == name:
                    listed = value if isinstance(value, list) else [value]
                    return [self._resolved(one) for one in listed if one is not None]
        return []

    def linked(self, node: Node, *names: str) -> list[Node]:
        """Return those values that are nodes."""
        return [one for one in self.values(node, *names) if isinstance(one, dict) and "@value" not in one]

    def written(self, node: Node, *names: str) -> str:
        """Return the first value as text: its literal, or the id of a node; "" without one."""
        return next((found for found in map(literal, self.values(node, *names)) if found), "")

    def _resolved(self, value: object) -> object:
        if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("@id"), str):
            return self._by_id.get(value["@id"], value)
        return value


def types(node: Node) -> set[str]:
    """Return the local names of a node's types."""
    given = node.get("@type", node.get("type"))
    listed = given if isinstance(given, list) else [given]
    return {local_name(one) for one in listed if isinstance(one, str)}


def literal(value: object) -> str:
    """Return a value as text, without the space around it: a literal, a number, or the id of a node."""
    if isinstance(value, dict):
        value = value.get("@value", value.get("@id"))
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
