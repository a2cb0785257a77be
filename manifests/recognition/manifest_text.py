"""The text of a manifest for a source that was looked at, with comments that say what was found."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from manifests.model import format_size
from manifests.recognition.candidate import Candidate

_PLAIN = re.compile(r"[A-Za-z0-9/][\w./:+-]*", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_WIDTH = 112
# what cannot stand in one line of YAML
_UNFIT = re.compile("[^ -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class FoundFiles(msgspec.Struct):
    """What a bounded look at a source found. `unsized` files have no size; `digests` counts files by algorithm."""

    files: int = 0
    bytes: int = 0
    unsized: int = 0
    is_bounded: bool = False
    digests: dict[str, int] = {}
    without_digest: int = 0
    denied: str = ""
    failed: list[tuple[str, str]] = []

    @property
    def size(self) -> str:
        """Return how many files and bytes there are, for people."""
        total = format_size(self.bytes)
        if self.unsized:
            total = f"{total} and {self.unsized:,} files of unknown size"
        files = f"{self.files:,} file" + ("" if self.files == 1 else "s")
        if self.is_bounded:
            return f"more than {files}, {total}: the look ended there"
        return f"{files}, {total}"

    @property
    def verified(self) -> str:
        """Return which checksums there are, for people."""
        if not self.digests:
            return "no checksums are published: files will be attested by their size"
        told = ", ".join(f"{name} ({number:,})" for name, number in sorted(self.digests.items()))
        if self.without_digest:
            return f"{told}; {self.without_digest:,} files have none and will be attested"
        return f"{told}: every file will be verified"

    def access(self, credentials: str) -> str:
        """Return what access is needed, for people."""
        if self.denied:
            return f"files are refused: {self.denied}; name a credential of syncd.yaml"
        if credentials:
            return f"a file was read with the credential {credentials}"
        return "open: a file was read without an account"


def name_of(candidate: Candidate) -> str:
    """Return a name for the mirror of a source: what its options select, or the last parts of its url."""
    chosen = [
        str(value) for values in candidate.options.values() for value in (values if isinstance(values, list) else ())
    ]
    parts = urlsplit(candidate.url)
    host = (parts.hostname or "").removeprefix("www.")
    folders = [part for part in unquote(parts.path).split("/") if part]
    label = "" if re.fullmatch(r"[\d.:]*", host) else host.split(".")[-2 if "." in host else 0]
    words = [label or candidate.reader or parts.scheme, *(chosen[:1] or folders[-2:])]
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
    return name[:63].rstrip("-") or "dataset"


def manifest_text(
    candidate: Candidate, found: FoundFiles | None, *, name: str = "", title: str = "", credentials: str = ""
) -> str:
    """Return a manifest that `syncd check` accepts, with comments."""
    reader = candidate.reader or "the protocol's own"
    lines = [f"# reader:    {reader}: {candidate.why}"]
    if found is not None:
        lines += [
            f"# size:      {found.size}",
            f"# checksums: {found.verified}",
            f"# access:    {found.access(credentials)}",
        ]
    lines = [_comment(line) for line in lines]
    every = found is not None and bool(found.digests) and not found.without_digest
    lines += [f"mirror: {name or name_of(candidate)}"]
    lines += [f"title: {_value(title)}"] if title else []
    lines += ["source:"]
    source: dict[str, Any] = dict(candidate.source)
    if credentials:
        source["credentials"] = credentials
    lines += [f"  {key}: {_value(value)}" for key, value in source.items()]
    lines += ['  # include: ["*.nc"]             # the globs of the files that you want; without it, all']
    lines += ["schedule: {every: 1d}             # how often upstream is asked"]
    lines += ["guard: {max_removed: 10%}         # a pass that would delete more waits for syncd approve"]
    if every:
        lines += ["verify: {require: published}      # every file has a published checksum: accept no other"]
    lines += ["# about: {licence: …, citation: …, access: open}   # fill in before you publish the copy"]
    return "\n".join(lines) + "\n"


def _comment(line: str) -> str:
    return _UNFIT.sub(" ", line)[: _WIDTH * 4]


def _value(value: Any) -> str:
    """Return a value as YAML writes it in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_value(key)}: {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    text = str(value)
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS and not text[0].isdigit()
    if is_plain and not text.endswith(":"):
        return text
    return json.dumps(text, ensure_ascii=_UNFIT.search(text) is not None)
