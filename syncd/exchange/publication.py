"""A published mirror as others see it: the one model that all outward formats are made from.

Rules:
1. Every address is made from the node's own url, never from a request.
2. The addresses of a mirror and of its views do not change with a snapshot; those of a snapshot never change meaning.
3. Nothing is invented: an identifier, a licence or a place that the manifest does not state stays empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from manifests.snapshot import Snapshot
from syncd.exchange.markup import clean

FEW_FILES = 200  # files up to which a format lists each of them; above, it names views of the whole

Access = Literal["open", "registered", "restricted"]
Texts = Mapping[str, str]  # the same text by its language, as in {"en": …, "zh": …}; "" where the language is unknown

_IN_PATH = "!$&'()*+,;=@~"  # what a path keeps beside letters, digits and -._; a colon would make a scheme


@dataclass(frozen=True, slots=True)
class Agent:
    """A person or an organisation: the names by language, and what a registrar gave."""

    names: Texts
    url: str = ""
    email: str = ""
    ror: str = ""
    orcid: str = ""
    affiliation: str = ""

    @property
    def name(self) -> str:
        """Return one name, the English one if there is one."""
        return preferred(self.names)

    @property
    def identifier(self) -> str:
        """Return the address that identifies the agent, or ""."""
        return self.orcid or self.ror or self.url


@dataclass(frozen=True, slots=True)
class Node:
    """The node that publishes: its name, the address under which others reach it, and who runs it."""

    name: str
    url: str
    publisher: Agent

    def address(self, path: str = "") -> str:
        """Return the address of a path below the node; the path is already escaped."""
        return f"{self.url.rstrip('/')}/{path}"

    @property
    def host(self) -> str:
        """Return the host of the node's address, without port."""
        return self.url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """One snapshot in the history of a mirror; `changes` are files added, replaced and deleted, where known."""

    id: str
    created: float
    files: int
    bytes: int
    previous: str = ""
    changes: tuple[int, int, int] | None = None
    tags: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """Return the beginning of the id, by which people name a version."""
        return self.id[:12]


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a version: what its list and its proofs say. `media_type` is "" where it follows from the name."""

    path: str
    size: int
    sha256: str
    modified: float | None = None
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class DatasetIdentifier:
    """An identifier that a registrar gave to the dataset, and the address at which it resolves."""

    scheme: Literal["doi", "cstr"]
    value: str

    @property
    def url(self) -> str:
        """Return the address at which it resolves."""
        return f"https://doi.org/{self.value}" if self.scheme == "doi" else f"https://www.cstr.cn/CSTR:{self.value}"


@dataclass(frozen=True, slots=True)
class Publication:
    """One mirror that has a `publish:` block and at least one snapshot.

    `source` is the address of the original, `same_as` the publisher's own page about it. `files` are the files of the
    current version if they are at most FEW_FILES. `history` begins with the current version. `published` is the time
    of the first version here, `updated` when anything of this description last changed, `checked` when upstream was
    last asked to the end. Times are in seconds since the epoch, UTC. `spatial` is west, south, east, north; west is
    above east over the antimeridian. `temporal` has dates, months or years, and `..` for an end that is open.
    """

    name: str
    node: Node
    titles: Texts
    history: tuple[PublishedVersion, ...]
    published: float
    updated: float
    checked: float | None = None
    descriptions: Texts = field(default_factory=dict)
    creators: tuple[Agent, ...] = ()
    identifiers: tuple[DatasetIdentifier, ...] = ()
    source: str = ""
    same_as: str = ""
    themes: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    spatial: tuple[float, float, float, float] | None = None
    temporal: tuple[str, str] | None = None
    access: Access = "open"
    licence: str = ""
    citation: str = ""
    contact: str = ""
    verified: int = 0
    attested: int = 0
    files: tuple[PublishedFile, ...] = ()

    @property
    def version(self) -> PublishedVersion:
        """Return the current version."""
        return self.history[0]

    @property
    def title(self) -> str:
        """Return one title, the English one if there is one."""
        return preferred(self.titles) or self.name

    @property
    def original(self) -> str:
        """Return the address of what this is a copy of: the publisher's page, else the source."""
        return self.same_as or self.source

    @property
    def url(self) -> str:
        """Return the landing page, which identifies the dataset and never changes."""
        return self.node.address(f"mirrors/{self.name}/")

    def view(self, name: str) -> str:
        """Return the address of one view of the mirror, as in `head.json` or `feed.atom`."""
        return f"{self.url}{name}"

    def snapshot_url(self, name: str = "", version: str = "") -> str:
        """Return the address of a version, or of one of its documents, as in `SHA256SUMS`."""
        return f"{self.url}snapshots/{version or self.version.id}/{name}"

    def file_url(self, path: str, version: str = "") -> str:
        """Return the immutable address of one file of a version."""
        return self.snapshot_url(f"files/{quote(path, safe=f'/{_IN_PATH}')}", version)

    def latest_url(self, path: str) -> str:
        """Return the address of a file of whatever version is current, which leads to its immutable one."""
        return self.view(f"latest/{quote(path, safe=f'/{_IN_PATH}')}")

    @property
    def summary(self) -> str:
        """Return the facts of the copy in two sentences, for formats that must have a description."""
        version, origin = self.version, f" of {self.original}" if self.original else ""
        return (
            f"A mirror{origin}, kept by {self.node.publisher.name or self.node.name}: {version.files} files, "
            f"{version.bytes} bytes, each with a SHA-256 checksum. Version {version.short}."
        )

    @property
    def texts(self) -> Texts:
        """Return the descriptions; the summary stands for them where the manifest has none."""
        return self.descriptions if preferred(self.descriptions) else {"en": self.summary}

    def identifier(self, scheme: str) -> DatasetIdentifier | None:
        """Return the first identifier of a scheme."""
        return next((one for one in self.identifiers if one.scheme == scheme), None)

    @property
    def lists_files(self) -> bool:
        """Return True if everybody may read the names and checksums of the files."""
        return self.access != "restricted"


def preferred(texts: Texts, language: str = "en") -> str:
    """Return the text in a language, else the one of unknown language, else the first; "" if none has a character."""
    found = (clean(text) for text in (texts.get(language, ""), texts.get("", ""), *texts.values()))
    return next((text for text in found if text.strip()), "")


def version_of(snapshot: Snapshot, tags: tuple[str, ...] = ()) -> PublishedVersion:
    """Return a Snapshot as a version that is published."""
    return PublishedVersion(
        snapshot.id, snapshot.created, snapshot.files, snapshot.bytes, snapshot.previous, None, tags
    )
