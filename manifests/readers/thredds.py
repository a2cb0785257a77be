"""The reader for THREDDS catalogs (TDS, Hyrax, RAMADDA): nested datasets, and the file server of each.

Rules:
1. A dataset with a `urlPath` is a file if a service of type HTTPServer serves it: the service that the dataset, its
   `access` elements or the metadata above it name, or one within that compound service; else the catalog's first one.
   Datasets without a file server are counted and reported.
2. A `catalogRef` is followed on the catalog's own host. A catalog with several references is read once. Catalogs on
   other hosts are counted and reported.
3. `dataSize` is rounded for people. Only whole bytes, and the `size` property of ESGF, are a size.
4. A file's path is its `urlPath` without what the manifest's `below` names; other files are ignored.
5. ESGF's `checksum` and `checksum_type` properties are published digests.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote, urljoin, urlsplit

from pydantic import AfterValidator, BaseModel

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    XmlElement,
    chosen,
    decoded,
    digests,
    events,
    moment,
    size,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

_FILE_SERVERS = frozenset({"httpserver", "http", "file", "httpdownload"})
_ALIASES = frozenset({"Resolver", "Catalog", ""})  # services that stand for another dataset or catalog
_SAFE = "/:@!$&'()*+,;=~%"


def _checked_catalog(given: str) -> str:
    try:
        urlsplit(given)
    except ValueError as error:
        raise InvalidValue(
            message("is not a url"), message("write it as in catalog.xml or https://host/folder/catalog.xml")
        ) from error
    return given


class ThreddsOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    catalog: Annotated[str, AfterValidator(_checked_catalog)] = "catalog.xml"
    """The first catalog, below the url."""
    below: str = ""
    """A prefix of urlPath that paths omit, as in noaaport/text/; files outside it are not mirrored."""


def open_reader(source: ReaderSource) -> "ThreddsReader":
    """Return the reader for `source`."""
    return ThreddsReader(source.url, chosen(source, ThreddsOptions))


class ThreddsReader:
    """A Reader: one request for each catalog, one Stat for each dataset that is a file."""

    native = False

    def __init__(self, root: str, options: ThreddsOptions) -> None:
        self._first = urljoin(root, options.catalog)
        self._below = f"{options.below.strip('/')}/" if options.below else ""

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first catalog."""
        return [DocumentRequest(url=self._first)]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files and the further catalogs of one catalog."""
        catalog = _Catalog(document.url)
        for opens, part in events(document, root="catalog"):
            if not opens:
                for path, dataset, url in catalog.close(part):
                    found = decoded(path).lstrip("/")
                    if found.startswith(self._below):
                        yield dataset.stat(found.removeprefix(self._below), url)
                continue
            catalog.open(part)
            if part.name == "catalogRef" and (there := catalog.further(part)) is not None:
                yield DocumentRequest(url=there)
        yield from catalog.left_out()


@dataclass(slots=True)
class _Service:
    """One service; a compound one contains others."""

    kind: str
    base: str
    inside: list["_Service"] = field(default_factory=list)

    def kinds(self) -> set[str]:
        """Return its type, or the types of the services within it."""
        return {kind for one in self.inside for kind in one.kinds()} or {self.kind}

    def file_server(self) -> "_Service | None":
        """Return this service or the first one within it that serves files."""
        if self.kind.lower() in _FILE_SERVERS:
            return self
        return next((found for one in self.inside if (found := one.file_server()) is not None), None)


@dataclass(slots=True)
class _ThreddsDataset:
    """One dataset while it is open: its own values, and the inherited ones."""

    path: str = ""
    service: str = ""
    inherited: str = ""
    size: int | None = None
    modified: float | None = None
    properties: dict[str, str] = field(default_factory=dict)
    access: list[tuple[str, str]] = field(default_factory=list)

    def stat(self, path: str, url: str) -> Stat:
        """Return the Stat of the file at `url`."""
        said = self.properties
        promised = digests((said.get("checksum_type", ""), said.get("checksum", "")))
        length = self.size if self.size is not None else size(said.get("size"))
        return Stat(path, length, self.modified, digests=promised, urls=(url,))


class _Catalog:
    """The state of one catalog: its services, and the datasets that are open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._services: dict[str, _Service] = {}
        self._first: _Service | None = None
        self._compound: list[_Service] = []
        self._datasets: list[_ThreddsDataset] = []
        self._metadata: list[bool] = []  # whether each open metadata element is inherited
        self._unserved: dict[str, int] = {}  # datasets by the services that they have instead of a file server
        self._elsewhere = 0  # catalogs on other hosts

    def open(self, part: XmlElement) -> None:
        """Process an element that opens."""
        if part.name == "service":
            service = _Service(part.attributes.get("serviceType", ""), part.attributes.get("base", ""))
            self._services.setdefault(part.attributes.get("name", ""), service)
            self._first = self._first or (service if not self._compound else None)
            if self._compound:
                self._compound[-1].inside.append(service)
            self._compound.append(service)
        elif part.name in ("dataset", "catalogRef"):
            inherited = self._datasets[-1].inherited if self._datasets else ""
            own = part.attributes.get("serviceName", "")
            self._datasets.append(_ThreddsDataset(part.attributes.get("urlPath", ""), own, inherited))
        elif part.name == "metadata":
            self._metadata.append(part.attributes.get("inherited", "").lower() == "true")
        elif self._datasets:
            self._said(self._datasets[-1], part)

    def _said(self, dataset: _ThreddsDataset, part: XmlElement) -> None:
        if part.name == "property":
            dataset.properties.setdefault(part.attributes.get("name", ""), part.attributes.get("value", ""))
        elif part.name == "access":
            dataset.access.append((part.attributes.get("serviceName", ""), part.attributes.get("urlPath", "")))

    def close(self, part: XmlElement) -> Iterator[tuple[str, _ThreddsDataset, str]]:
        """Process an element that closes; yield urlPath, dataset and url of each file."""
        if part.name == "service":
            self._compound.pop()
        elif part.name == "metadata":
            self._metadata.pop()
        elif part.name in ("dataset", "catalogRef"):
            yield from self._files(self._datasets.pop())
        elif self._datasets:
            self._read_metadata(self._datasets[-1], part)

    def _read_metadata(self, dataset: _ThreddsDataset, part: XmlElement) -> None:
        text = part.text.strip()
        if part.name == "serviceName":
            if self._metadata and self._metadata[-1]:
                dataset.inherited = text
            else:
                dataset.service = text
        elif part.name == "dataSize" and part.attributes.get("units", "").lower() in ("bytes", "byte", "b"):
            dataset.size = size(text)
        elif part.name == "date" and part.attributes.get("type") == "modified":
            dataset.modified = moment(text.replace(" UTC", "Z"))

    def left_out(self) -> Iterator[ReaderWarning]:
        """Yield the numbers of datasets and catalogs that are not files, or not on this host."""
        for services, number in self._unserved.items():
            yield ReaderWarning(
                message("datasets without a file server ({services}) were left out", services=services), number
            )
        if self._elsewhere:
            yield ReaderWarning(message("catalogs on other hosts were left out"), self._elsewhere)

    def _files(self, dataset: _ThreddsDataset) -> Iterator[tuple[str, _ThreddsDataset, str]]:
        named = dataset.service or dataset.inherited
        others: set[str] = set()
        for service, path in [*dataset.access, (named, dataset.path)]:
            found = self._services.get(service or named)
            server = found.file_server() if found is not None else None
            if found is None and not (service or named) and self._first is not None:
                server = self._first.file_server()
            if path and server is not None:
                yield path, dataset, self._url_of(server.base + path)
                return
            if path:
                others.update(found.kinds() if found is not None else [service or named])
        others -= _ALIASES
        if others:
            services = ", ".join(sorted(others))[:100]
            self._unserved[services] = self._unserved.get(services, 0) + 1

    def _url_of(self, path: str, safe: str = _SAFE) -> str:
        try:
            return urljoin(self._url, quote(path, safe=safe))
        except ValueError as error:
            raise DocumentError(message("{url}: {path!r} is not a url", url=self._url, path=path[:100])) from error

    def further(self, part: XmlElement) -> str | None:
        """Return the catalog that a reference names; None if it is on another host.

        A server behind a proxy may know itself by another scheme or port: its own are used.
        """
        href = part.attributes.get("href", "").strip()
        if not href:
            return None
        url = self._url_of(href, f"{_SAFE}?").partition("#")[0]
        here, there = urlsplit(self._url), urlsplit(url)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            if there.scheme not in {"http", "https"} or here.hostname != there.hostname:
                self._elsewhere += 1
                return None
            url = there._replace(scheme=here.scheme, netloc=here.netloc).geturl()
        stem, dot, ending = url.rpartition(".")
        return f"{stem}.xml" if dot and ending == "html" else url


READER = ReaderKind(open_reader, ThreddsOptions, proof=CompletenessProof(end="the end tag of the XML"))
