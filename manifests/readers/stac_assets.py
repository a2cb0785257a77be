"""Selects the wanted assets of a STAC item, the url and the checksums of each, and its path in the copy."""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlsplit

from manifests.digest import could_be_cut, parse_digest, parse_multihash
from manifests.messages import message
from manifests.readers.stac_options import StacOptions
from manifests.reading import (
    Document,
    Found,
    ReaderWarning,
    Selected,
    SkippedEntries,
    absolute,
    days,
    moment,
    size,
    text,
)
from manifests.stat import Stat

MAX_ASSETS = 100_000  # of one item
_WEB = frozenset({"http", "https"})
_SUMS = ("file:checksum", "checksum:multihash")


class Assets:
    """The assets of one mirror's items."""

    def __init__(self, options: StacOptions, *, pays: bool) -> None:
        """`pays` is True if the manifest agrees to pay for requests (`requester_pays`)."""
        self._options = options
        self._pays = pays
        self._style = _Style(())
        self.is_dated = any(f"{{{place}" in options.template for place in ("year", "month", "day"))
        """True if paths contain a date."""
        self._unmatched: list[Selected] = []
        self._matched: list[Selected] = []
        self.begin()

    def begin(self) -> None:
        """Begin a survey: nothing has matched what the manifest selects assets by."""
        options = self._options
        wanted = {"assets": options.assets, "roles": options.roles, "types": options.types}
        self._unmatched = [Selected(key, value) for key, values in wanted.items() for value in dict.fromkeys(values)]

    def take_matched(self) -> list[Selected]:
        """Return what assets matched since the last call, each once in a survey."""
        matched, self._matched = self._matched, []
        return matched

    def learn(self, items: Sequence[object]) -> None:
        """Take the items of a page, whose checksums show how its publisher writes them."""
        self._style = _Style(items)

    def of(self, document: Document, item: Mapping[str, Any], unread: SkippedEntries) -> Iterator[Found]:
        """Yield a Stat for each asset of `item` that is wanted."""
        assets = item.get("assets")
        if not isinstance(assets, dict):
            return
        wanted = [(key, asset) for key, asset in assets.items() if isinstance(asset, dict) and self.wants(key, asset)]
        item_id = text(item.get("id"))
        if len(wanted) > MAX_ASSETS:
            unread.add(message("item {name} has more than {max_assets} assets", name=item_id, max_assets=MAX_ASSETS))
            return
        found: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = []
        for key, asset in wanted:
            urls, notes = self._urls(document, item, asset)
            yield from notes
            if urls:
                found.append((key, _file(key, asset, urls[0]), asset, urls))
            elif asset.get("href") is not None:
                schemes = ", ".join(self._options.prefer)
                unread.add(
                    message(
                        "item {name}: asset {key} has no url of {schemes}: name its kind of url in prefer",
                        name=item_id,
                        key=key,
                        schemes=schemes,
                    )
                )
        names = Counter(file.casefold() for _, file, _, _ in found) if len(found) > 1 else {}
        seen: set[str] = set()
        for key, name, asset, urls in found:
            file = name
            if names and names[name.casefold()] > 1:
                if urls[0] in seen:
                    continue  # one file under two keys
                if len({each[3][0] for each in found if each[1].casefold() == name.casefold()}) > 1:
                    file = f"{key}/{name}"
            seen.add(urls[0])
            path = self.path(item, file, key)
            digests, notes = self._style.digests(asset)
            yield from notes
            yield Stat(path, size(asset.get("file:size")), None, self._version(item, asset, digests), digests, urls)

    def path(self, item: Mapping[str, Any], file: str, key: str) -> str:
        """Return the path of an item's file; unsafe parts stay, and `check_path` rejects them."""
        properties = item.get("properties")
        taken = None
        if self.is_dated and isinstance(properties, dict):
            taken = text(properties.get("datetime")) or text(properties.get("start_datetime"))
        places = {
            "collection": text(item.get("collection")) or text(item.get("id")),
            "id": text(item.get("id")),
            "key": key or "item",
            "file": file,
            **(days(taken) if self.is_dated else {}),
        }
        template = self._options.template
        if "{file}" not in template and not key:
            template = f"{template.rpartition('/')[0]}/{{file}}"
        return template.format_map(places).lstrip("/")

    def wants(self, key: str, asset: Mapping[str, Any]) -> bool:
        """Return True if the manifest wants an asset."""
        options = self._options
        kind = text(asset.get("type")).lower()
        if self._unmatched:
            matched = [one for one in self._unmatched if _matches(one, key, kind, asset)]
            self._unmatched = [one for one in self._unmatched if one not in matched]
            self._matched += matched
        if options.assets and not any(fnmatchcase(key, wanted) for wanted in options.assets):
            return False
        if options.roles:
            roles = asset.get("roles")
            if not isinstance(roles, list) or not {text(role) for role in roles} & set(options.roles):
                return False
        if options.types and not any(fnmatchcase(kind, wanted.lower()) for wanted in options.types):
            return False
        return bool(options.assets or options.types) or not kind.startswith("text/html")

    def _urls(
        self, document: Document, item: Mapping[str, Any], asset: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], list[ReaderWarning]]:
        """Return the urls of an asset and its alternates, the preferred kind first, and their warnings."""
        alternates = asset.get("alternate")
        if not isinstance(alternates, dict):
            url = absolute(document, asset.get("href"))
            scheme = url.partition("://")[0] if url is not None else ""
            if url is not None and scheme in _WEB and scheme in self._options.prefer:
                return (url,), []
        found: dict[str, list[str]] = {}
        paid: set[str] = set()
        for one in (asset, *(alternates.values() if isinstance(alternates, dict) else ())):
            url = absolute(document, one.get("href")) if isinstance(one, dict) else None
            if url is None:
                continue
            scheme = url.partition("://")[0].lower()
            if scheme in self._options.prefer and url not in found.setdefault(scheme, []):
                found[scheme].append(url)
                if _is_paid(item, one):
                    paid.add(url)
        urls = tuple(url for scheme in self._options.prefer for url in found.get(scheme, ()))
        if urls and urls[0] in paid and urls[0].startswith("s3://") and not self._pays:
            said = message("assets are in requester-pays buckets: set requester_pays: true, or prefer: [https]")
            return urls, [ReaderWarning(said)]
        return urls, []

    def _version(self, item: Mapping[str, Any], asset: Mapping[str, Any], digests: Mapping[str, str]) -> str | None:
        """Return a version that changes with the asset: its digests if there are any, else the item's last update."""
        if digests:
            return None
        properties = item.get("properties")
        told = text(asset.get("updated")) or (text(properties.get("updated")) if isinstance(properties, dict) else "")
        return f"updated:{told}" if moment(told) is not None else None


def _matches(selector: Selected, key: str, kind: str, asset: Mapping[str, Any]) -> bool:
    if selector.key == "assets":
        return fnmatchcase(key, selector.value)
    if selector.key == "types":
        return fnmatchcase(kind, selector.value.lower())
    roles = asset.get("roles")
    return isinstance(roles, list) and selector.value in map(text, roles)


class _Style:
    """How a publisher writes checksums: as multihashes, or bare."""

    def __init__(self, items: Sequence[object]) -> None:
        self._items = items

    @functools.cached_property
    def _are_multihashes(self) -> bool:
        """Return True if all checksums of the page are multihashes; read only for one that could be a truncated one."""
        whole = bare = False
        for item in self._items:
            assets = item.get("assets") if isinstance(item, dict) else None
            for asset in assets.values() if isinstance(assets, dict) else ():
                value = _sum(asset) if isinstance(asset, dict) else ""
                if value:
                    is_whole = parse_multihash(value) is not None
                    whole = whole or is_whole
                    bare = bare or (not is_whole and not could_be_cut(value) and parse_digest(value) is not None)
        return whole and not bare

    def digests(self, asset: Mapping[str, Any]) -> tuple[dict[str, str], list[ReaderWarning]]:
        value = _sum(asset)
        if not value:
            return {}, []
        found = parse_multihash(value)
        if found is not None:
            return {found[0]: found[1]}, []
        if could_be_cut(value) and self._are_multihashes:
            return {}, [ReaderWarning(message("truncated checksums were ignored"))]
        found = parse_digest(value)
        if found is None:
            return {}, [ReaderWarning(message("invalid checksums were ignored"))]
        return {found[0]: found[1]}, [
            ReaderWarning(message("checksums are bare hex, not multihashes: their length determines the algorithm"))
        ]


def _sum(asset: Mapping[str, Any]) -> str:
    return next((value for name in _SUMS if (value := text(asset.get(name)))), "")


def _is_paid(item: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Return True if the storage extension, in either version, states requester pays."""
    if one.get("storage:requester_pays") is True:
        return True
    properties = item.get("properties")
    schemes = properties.get("storage:schemes") if isinstance(properties, dict) else None
    refs = one.get("storage:refs")
    if not isinstance(schemes, dict) or not isinstance(refs, list):
        return False
    named = (schemes.get(ref) for ref in refs if isinstance(ref, str))
    return any(isinstance(scheme, dict) and scheme.get("requester_pays") is True for scheme in named)


def _file(key: str, asset: Mapping[str, Any], url: str) -> str:
    """Return an asset's own name: as published, else the last part of its url, else its key."""
    local = text(asset.get("file:local_path")).removeprefix("./")
    if local:
        return local
    is_path = url.count("/") > 2 and not url.endswith("/") and "?" not in url and "#" not in url
    path = url if is_path else urlsplit(url).path
    last = unquote(path.rstrip("/").rpartition("/")[2])
    return last if last and not last.startswith("$") else key
