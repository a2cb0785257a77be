"""The lines of tokens in syncd.yaml: writes one, lists them, and marks one as revoked."""

import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests.messages import message
from manifests.model import Mirror, load_mirror
from syncd.cli import output
from syncd.config import Config, Token, read_text_file
from syncd.core import ConfigError
from syncd.process import DONE, USAGE

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9._@/-]*|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]+ ?[kMGT]?i?B/s", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


def token_line(entry: Mapping[str, Any]) -> str:
    """Return the line of a token, to be written below `tokens:`."""
    return "  - {" + ", ".join(f"{key}: {_written(key, value)}" for key, value in entry.items()) + "}"


def _written(key: str, value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_written(key, one) for one in value) + "]"
    text = str(value)
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS and key not in {"sha256", "scrypt"}
    return text if is_plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def list_tokens(config: Config, *, json: bool) -> int:
    """Print the tokens of the configuration, without their hashes."""
    now = datetime.now(UTC)
    if json:
        output.print_json([_token_view(one, now) for one in config.tokens])
        return DONE
    for one in config.tokens:
        parts = [one.name, one.role, one.state(now)]
        parts += [f"mirrors {','.join(one.mirrors)}"] if one.mirrors is not None else []
        parts += [text for text in (one.institution, one.country) if text]
        parts += [f"until {one.until}"] if one.until is not None else []
        parts += [f"revoked {one.revoked}"] if one.revoked is not None else []
        output.print_line("  ".join(parts))
    if not config.tokens:
        output.print_line("no tokens: syncd token NAME creates one")
    return DONE


def _token_view(one: Token, now: datetime) -> dict[str, Any]:
    said = one.model_dump(mode="json", exclude_none=True, exclude={"sha256", "scrypt"})
    return {**said, "state": one.state(now)}


def revoke_token(path: Path | None, load: Callable[[], Config], name: str, *, json: bool) -> int:
    """Mark a token as revoked in the configuration file; a running daemon reads it again by itself."""
    from syncd.cli.audit import write_audit_entry  # noqa: PLC0415  only this needs it

    config = load()
    found = next((one for one in config.tokens if one.name == name), None)
    if found is None or path is None:
        sys.stderr.write(f"syncd: {name}: no such token in {path or 'any syncd.yaml'}: syncd token list shows them\n")
        return USAGE
    if found.revoked is None:
        _mark(path, load, config.tokens.index(found))
        outcome = message("the token of {name} was revoked", name=name)
        write_audit_entry(config.state, "revoke", outcome, details={"file": str(path)})
    if json:
        output.print_json({"revoked": name, "file": str(path)})
    else:
        output.print_line(f"{name}: revoked in {path}; a running daemon follows within seconds")
    return DONE


def accept_terms(config: Config, name: str, mirror: str, *, json: bool) -> int:
    """Record that the owner of a token accepted the terms of a mirror, as its manifest has them now."""
    from syncd.api import AcceptedTerms  # noqa: PLC0415  only this needs it
    from syncd.cli.audit import write_audit_entry  # noqa: PLC0415  as above

    if not any(one.name == name for one in config.tokens):
        sys.stderr.write(f"syncd: {name}: no such token: syncd token list shows them\n")
        return USAGE
    declared = _declared(config, mirror)
    if declared is None or declared.publish is None or not declared.publish.terms_version:
        sys.stderr.write(f"syncd: {mirror}: no manifest of the configuration publishes it with terms\n")
        return USAGE
    version = declared.publish.terms_version
    AcceptedTerms(config.state).accept(name, mirror, version, time.time())
    outcome = message("the owner of the token {name} accepted the terms", name=name)
    write_audit_entry(config.state, "accept terms", outcome, details={"mirror": mirror, "terms": str(version)})
    if json:
        output.print_json({"name": name, "mirror": mirror, "terms": version})
    else:
        output.print_line(f"{name}: the terms of {mirror} are accepted (version {version})")
    return DONE


def _declared(config: Config, mirror: str) -> Mirror | None:
    """Return the mirror that a manifest of the configuration declares. Raises ManifestError for an invalid one."""
    from syncd.daemon import ManifestFile, manifest_files  # noqa: PLC0415  only this needs it

    for path in config.manifests:
        for file in manifest_files(path) if path.is_dir() else [path]:
            text = read_text_file(file)
            if ManifestFile(str(file), text=text.decode(errors="replace")).declared_name == mirror:
                return load_mirror(text, str(file))
    return None


def _mark(path: Path, load: Callable[[], Config], number: int) -> None:
    """Write `revoked` before the first key of a token; everything else of the file stays as it is."""
    from manifests.yaml.parse import read  # noqa: PLC0415  its parser is slow to import

    real = path.resolve()
    text = real.read_text("utf-8")
    tree = read(text, str(path))
    at = tree.values["tokens", number]
    lines = text.splitlines(keepends=True)
    line, column = lines[at.line - 1], at.column - 1
    today = datetime.now(UTC).date().isoformat()
    if line[column] == "{":
        lines[at.line - 1] = f"{line[: column + 1]}revoked: {today}, {line[column + 1 :]}"
    else:
        lines[at.line - 1] = f"{line[:column]}revoked: {today}\n{' ' * column}{line[column:]}"
    _replace(real, "".join(lines))
    if load().tokens[number].revoked is None:
        _replace(real, text)
        raise ConfigError(
            message("{file}: the token could not be marked: add revoked: {day} to its line", file=str(path), day=today)
        )


def _replace(path: Path, text: str) -> None:
    """Replace a file at once, with its mode and owner."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    there = path.stat()
    try:
        with open(beside, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
            os.fchmod(out.fileno(), there.st_mode & 0o7777)
            if (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(out.fileno(), there.st_uid, there.st_gid)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(message("{file}: cannot be written: {cause}", file=str(path), cause=error)) from error
