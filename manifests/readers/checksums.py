r"""The reader for checksum lists: the publisher's own SHA256SUMS, MD5SUMS, *.md5 list the files.

Forms, which one list may mix unless stated otherwise:

    d41d…  name   d41d… *name       GNU: two spaces, or a space and `*`
    d41d… name                      one space; then the whole list is written so, the first such line decides
    MD5 (name) = d41d…              BSD, `cksum --tag`; base64 too
    MD5(name)= d41d…                OpenSSL
    d41d…                           a sidecar: `scene.tif.md5` says this of `scene.tif`
    \d41d…  a\nb   \MD5 (a\nb) =    a `\` before the line: `\n`, `\r` and `\\` in the name are escapes

Comments, blank lines, CR, a byte order mark and PGP armour are skipped. The algorithm is that of the line, else that of
the list's own name, else that of the digest's length. Names are relative to the list's own folder, percent signs are
literal, and a name that leaves the source is yielded unchanged; `check_path` rejects it.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, BeforeValidator, Field

from manifests.digest import BY_LENGTH, KNOWN, canonical, parse_digest
from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne
from manifests.reading import (
    ANY,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    ReaderKind,
    ReaderSource,
    chosen,
)
from manifests.stat import Promise, Stat, UnsafePath, check_path
from manifests.yaml import STRICT


def _list_path(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if re.search(r"[*?\[\]]", given) is not None:
        what = message("{given!r} is a glob", given=given[:80])
        raise InvalidValue(what, message("name each list by its path below the url; globs are for reader: autoindex"))
    if "://" in given:
        raise InvalidValue(message("a list outside the source"), message("name it by its path below the url"))
    try:
        return check_path(given)
    except UnsafePath as error:
        raise InvalidValue(str(error), message("name the list by its path below the url")) from error


class ChecksumsOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    checksums: Annotated[tuple[Annotated[str, BeforeValidator(_list_path)], ...], AtLeastOne] = Field(
        json_schema_extra={"minItems": 1}
    )
    """The checksum lists, by their paths below the url, as in SHA256SUMS."""


def open_reader(source: ReaderSource) -> "ChecksumsReader":
    """Return the reader for `source`."""
    return ChecksumsReader(chosen(source, ChecksumsOptions).checksums)


class ChecksumsReader:
    """A Reader: one request for each list; one Stat for each file listed, and one for the list itself."""

    native = False

    def __init__(self, lists: Iterable[str]) -> None:
        self.lists = tuple(dict.fromkeys(lists))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the lists."""
        return [DocumentRequest(url=path, state=path) for path in self.lists]

    def read(self, document: Document) -> Iterator[Stat | Promise | DocumentRequest]:
        """Yield the listed files, then the list itself: with it researchers can run the publisher's own check."""
        path = document.asked.state
        whole = hashlib.sha256()
        size = 0
        while block := document.stream.read(1 << 20):
            whole.update(block)
            size += len(block)
        document.stream.seek(0)
        for listed, digests in read_list(document, path):
            yield Stat(listed, digests=digests)
        yield Stat(path, size=size, version=f"sha256:{whole.hexdigest()}")


def read_list(document: Document, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the path and the digests of every file listed in the document, which is found at `path` in the source."""
    head = document.stream.read(1024)
    document.stream.seek(0)
    _refuse_web_page(head, path)  # checked first, because a page may be one line of a megabyte
    folder = path[: path.rfind("/") + 1]
    for line in parse_checksums(document.lines(), name=path):
        listed = _place(folder, line.name)
        if listed != path:  # `sha256sum * > SHA256SUMS` lists itself, as the empty file it was at that moment
            yield listed, ({line.algorithm: line.digest} if line.algorithm else {})


def _place(folder: str, name: str) -> str:
    """Return the path of a listed name; outside the source it keeps its `/` or `..`, and is rejected later."""
    name = name.removeprefix("./")
    if name.startswith("/"):
        return name
    path = folder + name
    return posixpath.normpath(path) if ("./" in name or "//" in name) and not name.endswith("/") else path


class ChecksumLine(msgspec.Struct, frozen=True):
    """One valid line: its name, unescaped; algorithm and digest, both "" if the algorithm is unknown."""

    name: str
    algorithm: str
    digest: str


_PLAIN = {  # by the number of characters between digest and name: matches nearly all lines
    1: re.compile(rb"([0-9A-Fa-f]+) ([^/-].*)(?<!\r)", re.DOTALL),
    2: re.compile(rb"([0-9A-Fa-f]+) [ *]([^/-].*)(?<!\r)", re.DOTALL),
}
_UNTAGGED = re.compile(rb"[ \t]*(\\?)([0-9A-Za-z+/]+=*)[ \t](.+)", re.DOTALL)
_TAGGED = re.compile(rb"[ \t]*(\\?)([A-Za-z0-9][A-Za-z0-9/_.-]*) ?\(")
_ARMOUR = {
    b"-----BEGIN PGP SIGNED MESSAGE-----": "headers",
    b"-----BEGIN PGP SIGNATURE-----": "signature",
    b"-----END PGP SIGNATURE-----": "",
}


def parse_checksums(lines: Iterable[bytes], *, name: str) -> Iterator[ChecksumLine]:
    """Yield the valid lines of a list; `name` is its path, which may name the algorithm.

    Other lines are skipped, as coreutils does. Raises DocumentError if no line is valid, if most would be valid only in
    another form than the first line's, or, at once, for a web page.
    """
    algorithms = _by_digits(name)
    subject = _subject(name)
    gap = 0  # characters between digest and name, 1 or 2; 0 while no line has decided
    good = junk = strays = 0
    armour = ""
    for line in lines:
        if gap and not armour:
            match = _PLAIN[gap].fullmatch(line)
            if match is not None:
                algorithm = algorithms.get(len(match[1]))
                if algorithm is not None:
                    good += 1
                    yield _line(match[2], algorithm, match[1])
                    continue
        if not good + junk:
            line = line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901  a byte order mark belongs to no line
            _refuse_web_page(line, name)
        line = line.removesuffix(b"\r")  # noqa: PLW2901  nor does the second half of a line end
        if not line.strip():
            armour = "" if armour == "headers" else armour
            continue
        if line.startswith(b"-----"):
            armour = _ARMOUR.get(line.rstrip(), armour)
            continue
        if armour or line.startswith(b"#"):
            continue
        line = line.removeprefix(b"- ")  # noqa: PLW2901  inside the armour dashes are escaped so, and no digest begins so
        found = _tagged(line, subject)
        if found is None:
            match = _UNTAGGED.fullmatch(line)
            promised = None if match is None else _digest(match[2], algorithms)
            if match is None or promised is None:
                found = _bare(line, subject, algorithms) if not good else None
            else:
                wide = len(match[3]) > 1 and match[3][:1] in {b" ", b"*"}
                gap = gap or (2 if wide else 1)
                if gap == 2 and not wide:
                    strays += 1
                else:
                    found = _named(match[3][gap - 1 :], match[1], subject, promised)
        if found is None:
            junk += 1
        else:
            good += 1
            yield found
    if not good:
        raise DocumentError(message("{name}: contains no checksum line ({junk} other lines)", name=name, junk=junk))
    if strays > good:
        raise DocumentError(
            message(
                "{name}: {strays} lines have one space before the name and {good} have two: the names are ambiguous",
                name=name,
                strays=strays,
                good=good,
            )
        )


def _line(name: bytes, algorithm: str, digest: bytes) -> ChecksumLine:
    # bytes that are not UTF-8 become surrogates, which `check_path` rejects
    return ChecksumLine(
        name.decode("utf-8", "surrogateescape"), algorithm, digest.decode().lower() if algorithm else ""
    )


def _named(name: bytes, escape: bytes, subject: str | None, promised: tuple[str, str]) -> ChecksumLine | None:
    """Return the Line for a name as written in the list, None if its escapes are invalid."""
    if escape:
        if re.fullmatch(rb"(?:[^\\]|\\[nr\\])*", name, re.DOTALL) is None:
            return None
        name = re.sub(rb"\\.", lambda found: _ESCAPES[found[0]], name)
    text = name.decode("utf-8", "surrogateescape")
    if subject is not None and (text in {"-", "stdin"} or (text[0] == "/" and posixpath.basename(text) == subject)):
        text = subject  # a sidecar made from a pipe, or under a path of the machine where it was made
    return ChecksumLine(text, *promised)


_ESCAPES = {rb"\n": b"\n", rb"\r": b"\r", rb"\\": b"\\"}


def _tagged(line: bytes, subject: str | None) -> ChecksumLine | None:
    """Read `SHA256 (name) = digest` and `SHA256(name)= digest`; the last `)` ends the name."""
    match = _TAGGED.match(line)
    if match is None:
        return None
    end = line.rfind(b")")
    sign, value = line[end + 1 :].strip()[:1], line[end + 1 :].strip()[1:].strip().decode("latin-1")
    if sign != b"=" or end <= match.end():
        return None
    algorithm = match[2].decode()
    promised = parse_digest(value, algorithm)
    if (
        promised is None
        and canonical(algorithm) is None
        and re.fullmatch(r"(?:[0-9A-Fa-f]{2}){4,64}", value) is not None
    ):
        promised = ("", "")  # SM3, Whirlpool: the file exists all the same
    return None if promised is None else _named(line[match.end() : end], match[1], subject, promised)


def _bare(line: bytes, subject: str | None, algorithms: dict[int, str]) -> ChecksumLine | None:
    promised = None if subject is None else _digest(line.strip(), algorithms)
    return None if subject is None or promised is None else ChecksumLine(subject, *promised)


def _digest(text: bytes, algorithms: dict[int, str]) -> tuple[str, str] | None:
    """Return the algorithm and the hex of an untagged digest; both "" if the algorithm is unknown."""
    value = text.decode("latin-1")
    if re.fullmatch(r"[0-9A-Fa-f]+", value) is not None:
        algorithm = algorithms.get(len(value))
        return None if algorithm is None else (algorithm, value.lower() if algorithm else "")
    promised = parse_digest(value) if value.endswith("=") else None
    if promised is None:
        return None
    algorithm = algorithms[len(promised[1])]
    return algorithm, promised[1] if algorithm else ""


def _refuse_web_page(head: bytes, name: str) -> None:
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        raise DocumentError(message("{name}: looks like a web page (a login page?), not a checksum list", name=name))


_BY_DIGITS = {2 * length: name for length, name in BY_LENGTH.items()}
_FOREIGN = frozenset({"sm3", "rmd160", "ripemd160", "tiger", "whirlpool"})
_AMBIGUOUS = frozenset({"b2", "b3", "sha"})  # within a longer name it may be a band, or the beginning of SHA-256


def _by_digits(name: str) -> dict[int, str]:
    """Return the algorithm for each number of hex digits in a list of this name; "" stands for an unknown one."""
    hint = _hint(name.rpartition("/")[2].lower())
    if hint is None:
        return _BY_DIGITS
    if hint in _FOREIGN:
        return dict.fromkeys(_BY_DIGITS, "")
    family = hint.partition("-")[0]
    siblings = {2 * KNOWN[each]: each for each in KNOWN if each.startswith(f"{family}-")}
    return {**_BY_DIGITS, **(siblings if family in {"sha3", "blake2b"} else {2 * KNOWN[hint]: hint})}


def _hint(base: str) -> str | None:
    """Return the algorithm in a list's own name, the last one if there are several."""
    for piece in reversed(base.split(".")):
        for word in (piece, *(each for each in reversed(re.split("[-_]", piece)) if each not in _AMBIGUOUS)):
            bare = re.sub(r"(?:check)?sums?$|[-_]", "", word)
            if bare in _FOREIGN:
                return bare
            if (known := "sha3-256" if bare == "sha3" else canonical(word)) is not None:
                return known
    return None


def _subject(name: str) -> str | None:
    """Return the file that a sidecar describes (`scene.tif` for `a/scene.tif.md5`), None if it is not a sidecar."""
    stem, _, ending = name.rpartition("/")[2].removesuffix(".txt").rpartition(".")
    return stem if stem and _hint(ending.lower()) is not None else None


READER = ReaderKind(
    open_reader, ChecksumsOptions, schemes=ANY, proof=CompletenessProof(end="nothing yet", unseen="any")
)
