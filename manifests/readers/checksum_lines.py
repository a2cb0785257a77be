r"""The lines of checksum lists, and the proof that a list is whole.

Forms, which one list may mix unless stated otherwise:

    d41d…  name   d41d… *name       GNU: two spaces, or a space and `*`
    d41d… name                      one space; then the whole list is written so, the first such line decides
    MD5 (name) = d41d…              BSD, `cksum --tag`; base64 too
    MD5(name)= d41d…                OpenSSL
    d41d…                           a sidecar: `scene.tif.md5` says this of `scene.tif`
    d41d…  1234  name               with the size, if every line has one (`checksum_forms`)
    \d41d…  a\nb   \MD5 (a\nb) =    a `\` before the line: `\n`, `\r` and `\\` in the name are escapes

Comments, blank lines, CR, a byte order mark and PGP armour are skipped. Other lines are counted and reported; one that
looks like a checksum and is not valid makes the list incomplete, and so does a last line without a line end, unless the
digest stands at its end or it names the file of the sidecar. The algorithm is that of the line, else that of
the list's own name, else that of the digest's length. Names are relative to the list's own folder, percent signs are
literal, and a name that leaves the source is yielded unchanged; `check_path` rejects it.
"""

import io
import posixpath
import re
from collections.abc import Iterable, Iterator

import msgspec

from manifests.digest import BY_LENGTH, KNOWN, canonical, parse_digest
from manifests.messages import message
from manifests.readers.checksum_forms import SIZED
from manifests.reading import Document, DocumentError, ReaderWarning, SkippedEntries


class ListReport:
    """What a list contains besides valid lines."""

    def __init__(self, document: Document, path: str) -> None:
        """`path` is that of the list."""
        self._document = document
        self._path = path
        self._skipped = SkippedEntries(document)
        self._others = 0
        self.is_signature_missing = False

    def add(self, line: bytes, *, is_checksum: bool) -> None:
        """Add a line that is not valid."""
        if is_checksum or _LIKE_A_CHECKSUM.match(line) is not None:
            said = line[:100].decode("latin-1")
            self._skipped.add(message("a line that looks like a checksum is not valid: {line!r}", line=said))
        else:
            self._others += 1

    def finish(self, *, unterminated: bool = False) -> Iterator[ReaderWarning]:
        """Report the lines that were skipped; raises DocumentError if the list may be incomplete.

        With `unterminated` a last line without a line end is complete.
        """
        document, skipped = self._document, self._skipped
        if self.is_signature_missing:
            skipped.add(message("the list is signed, and ends before the end of its signature"))
        if self._others:
            yield ReaderWarning(message("lines that are no checksums were skipped"), self._others)
        skipped.raise_if_any()
        last = _open_end(document)
        if not last:
            document.insist_on_bounds()
        elif not unterminated and not _ends_by_itself(last, self._path):
            document.check_line_end()


def _open_end(document: Document) -> bytes:
    """Return the last line of a document if it has no line end; else an empty one."""
    length = document.stream.seek(0, io.SEEK_END)
    document.stream.seek(max(0, length - (1 << 16)))
    return document.stream.read().replace(b"\r", b"\n").rpartition(b"\n")[2]


def _ends_by_itself(line: bytes, path: str) -> bool:
    """Return True if nothing can be missing at the end of a line: the digest stands there, or the name is known."""
    subject, algorithms = _subject(path), _by_digits(path)
    tag, tagged = _TAGGED.match(line), _tagged(line, subject)
    if line.rstrip() == _SIGNATURE_END:
        return True
    if tag is not None and tagged is not None:  # a part of a digest in hex may be one of another kind, or in base64
        is_hex = line.rstrip().lower().endswith(tagged.digest.encode())
        return is_hex and tagged.algorithm == (canonical(tag[2].decode()) or "")
    if subject is None:
        return False
    hint = _hint(path.rpartition("/")[2].lower())
    bare = _bare(line, subject, algorithms)
    if bare is not None:
        return bare.algorithm in {"", hint} or hint in _FOREIGN
    match = _UNTAGGED.fullmatch(line)
    return match is not None and posixpath.basename(match[3].decode("utf-8", "replace").strip(" *")) == subject


class ChecksumLine(msgspec.Struct, frozen=True):
    """One valid line: its name, unescaped; algorithm and digest, both "" if that is unknown; a size, if it has one."""

    name: str
    algorithm: str
    digest: str
    size: int | None = None


_PLAIN = {  # by the number of characters between digest and name: matches nearly all lines
    1: re.compile(rb"([0-9A-Fa-f]+) ([^/-].*)(?<!\r)", re.DOTALL),
    2: re.compile(rb"([0-9A-Fa-f]+) [ *]([^/-].*)(?<!\r)", re.DOTALL),
}
_UNTAGGED = re.compile(rb"[ \t]*(\\?)([0-9A-Za-z+/]+=*)[ \t](.+)", re.DOTALL)
_TAGGED = re.compile(rb"[ \t]*(\\?)([A-Za-z0-9][A-Za-z0-9/_.-]*) ?\(")
_SIGNATURE_END = b"-----END PGP SIGNATURE-----"
_LIKE_A_CHECKSUM = re.compile(
    rb"[ \t]*\\?(?:[0-9A-Fa-f]{16,}[ \t]|[0-9A-Fa-f]{24,}$|[A-Za-z0-9][A-Za-z0-9/_.-]* ?\(.*\) ?= ?[0-9A-Fa-f]{8})"
)
_ARMOUR = {
    b"-----BEGIN PGP SIGNED MESSAGE-----": "headers",
    b"-----BEGIN PGP SIGNATURE-----": "signature",
    _SIGNATURE_END: "",
}


def parse_checksums(
    lines: Iterable[bytes], *, name: str, report: ListReport | None = None, has_sizes: bool = False
) -> Iterator[ChecksumLine]:
    """Yield the valid lines of a list; `name` is its path, which may name the algorithm.

    `has_sizes` is True for a list whose lines have a size between digest and name.

    Other lines are skipped, as coreutils does, and added to `report`. Raises DocumentError if no line is valid, if most
    would be valid only in another form than the first line's, or, at once, for a web page.
    """
    algorithms = _by_digits(name)
    subject = _subject(name)
    gap = 0  # characters between digest and name, 1 or 2; 0 while no line has decided
    good = junk = strays = 0
    armour = ""
    for line in lines:
        if has_sizes and not armour and (sized := _sized(line, algorithms)) is not None:
            good += 1
            yield sized
            continue
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
            refuse_web_page(line, name)
        line = line.removesuffix(b"\r")  # noqa: PLW2901  nor does the second half of a line end
        if not line.strip():
            armour = "" if armour == "headers" else armour
            continue
        if line.startswith(b"-----"):
            armour = _ARMOUR.get(line.rstrip(), armour)
            if report is not None:
                report.is_signature_missing = bool(armour)
            continue
        if armour or line.startswith(b"#"):
            continue
        line = line.removeprefix(b"- ")  # noqa: PLW2901  inside the armour dashes are escaped so, and no digest begins so
        found = _tagged(line, subject)
        if found is None:
            match = _UNTAGGED.fullmatch(line)
            promised = None if match is None else _digest(match[2], algorithms)
            if match is None or promised is None or (subject is not None and not match[3].strip()):
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
            if report is not None and (subject is None or _digest(line.strip(), algorithms) is None):
                report.add(line, is_checksum=match is not None and promised is not None)
        else:
            good += 1
            yield found
    if not good:
        if not junk:
            raise DocumentError(message("{name}: names no file", name=name))
        raise DocumentError(message("{name}: contains no checksum line ({junk} other lines)", name=name, junk=junk))
    if strays > good:
        raise DocumentError(
            message(
                "{name}: {one} lines have one space before the name and {two} have two: the names are ambiguous",
                name=name,
                one=strays,
                two=good,
            )
        )


def _line(name: bytes, algorithm: str, digest: bytes) -> ChecksumLine:
    # bytes that are not UTF-8 become surrogates, which `check_path` rejects
    return ChecksumLine(
        name.decode("utf-8", "surrogateescape"), algorithm, digest.decode().lower() if algorithm else ""
    )


def _sized(line: bytes, algorithms: dict[int, str]) -> ChecksumLine | None:
    """Read `digest size name`."""
    match = SIZED.fullmatch(line.removesuffix(b"\r"))
    algorithm = algorithms.get(len(match[1])) if match is not None else None
    if match is None or algorithm is None:
        return None
    found = _line(match[5], algorithm, match[1])
    return ChecksumLine(found.name, found.algorithm, found.digest, int(match[3]))


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


def refuse_web_page(head: bytes, name: str) -> None:
    """Raise DocumentError for a page in HTML or XML."""
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
