"""Makes the Publication of a mirror from its manifest and its snapshots. Nothing is added that they do not state."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from manifests.model import Creator, LocalText, Mirror
from syncd.exchange.publication import (
    FEW_FILES,
    Access,
    Agent,
    DatasetIdentifier,
    Node,
    Publication,
    PublishedFile,
    PublishedVersion,
    Texts,
)

_PUBLIC = {"http", "https", "ftp", "ftps", "s3"}  # schemes of addresses that mean something elsewhere


def publication_of(
    mirror: Mirror,
    node: Node,
    access: Access,
    history: Sequence[PublishedVersion],
    *,
    published: float | None = None,
    updated: float | None = None,
    checked: float | None = None,
    verdicts: tuple[int, int] = (0, 0),
    files: Sequence[PublishedFile] = (),
) -> Publication:
    """Return a mirror that has `publish` and at least one version, the current one first.

    `access` is what `manifests.access` decides for now. `published` is the time of the first version, by default of
    the earliest one that is known; `updated` that of the last change of the description, by default of the version.
    """
    stated, about = mirror.publish, mirror.about
    if stated is None or not history:
        raise ValueError(mirror.name)
    return Publication(
        name=mirror.name,
        node=node,
        titles=_texts(stated.title) or ({"": mirror.title} if mirror.title else {"": mirror.name}),
        history=tuple(history),
        published=history[-1].created if published is None else published,
        updated=history[0].created if updated is None else updated,
        checked=checked,
        descriptions=_texts(stated.description),
        creators=tuple(map(_creator, stated.creators)),
        identifiers=tuple(DatasetIdentifier(one.scheme, one.value) for one in stated.identifiers),
        source=public_address(mirror.source.url),
        same_as=stated.same_as or "",
        themes=stated.themes,
        keywords=stated.keywords,
        spatial=stated.spatial,
        temporal=stated.temporal,
        access=access,
        licence=about.licence,
        citation=about.citation,
        contact=stated.contact or about.contact,
        verified=verdicts[0],
        attested=verdicts[1],
        files=tuple(files) if len(files) <= FEW_FILES else (),
    )


def public_address(url: str) -> str:
    """Return a source's address as others may see it: without a login and a query, "" if it is of this machine."""
    parts = urlsplit(url)
    if parts.scheme not in _PUBLIC:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _texts(text: LocalText | None) -> Texts:
    return {} if text is None else text.texts


def _creator(one: Creator) -> Agent:
    return Agent({"": one.name}, ror=one.ror or "", orcid=one.orcid or "", affiliation=one.affiliation)
