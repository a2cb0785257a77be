"""Writes to the audit log which keys of manifests and of the configuration changed.

Rule: what was in force before is read from the Catalogue, so a change that was made while no daemon ran is found too.
"""

import pwd
from contextlib import suppress
from pathlib import Path

import msgspec

from manifests.messages import count, message, plain
from syncd.catalogue import Catalogue
from syncd.config import Config, changed_keys, flat_keys
from syncd.core import AuditView, ConfigError
from syncd.session.manifests import parse

CONFIGURATION = "configuration"  # the setting that holds the keys of the configuration in force
_decode = msgspec.json.Decoder(dict[str, str]).decode


def save_manifest(
    catalogue: Catalogue, name: str, text: str, *, at: float, file: str = "", who: str = "", door: str = "file"
) -> AuditView | None:
    """Record the manifest with which a mirror is synced; return the entry of the audit log if it is another one.

    `who` is the owner of `file`, unless more is known of who changed it.
    """
    settings = catalogue.settings
    before = settings.get(f"manifest:{name}")
    if before == text:
        return None
    is_new = before is None or bool(settings.get(f"withdrawn:{name}"))
    changes = changed_keys(_keys(before), _keys(text))
    if is_new:
        outcome = message("the manifest is in force")
    elif changes:
        outcome = count(len(changes), "{n} key changed", "{n:,} keys changed")
    else:
        outcome = message("the text changed, and no key")
    entry = catalogue.pass_history.add_audit(
        at=at,
        who=who,
        door=door,
        what="manifest",
        mirror=name,
        outcome=outcome,
        changes=changes,
        details={"file": file} if file else None,
    )
    settings.set(f"manifest:{name}", text)
    return entry


def audit_withdrawal(catalogue: Catalogue, name: str, *, at: float, file: str = "") -> AuditView:
    """Write that the manifest of a mirror is not there any more."""
    return catalogue.pass_history.add_audit(
        at=at,
        who="",
        door="file",
        what="withdraw",
        mirror=name,
        outcome=message("the manifest was withdrawn"),
        details={"file": file} if file else None,
    )


def audit_configuration(
    catalogue: Catalogue, config: Config, *, at: float, file: Path | None = None, who: str = ""
) -> AuditView | None:
    """Record the configuration in force; return the entry of the audit log if an earlier one was another one."""
    settings, keys = catalogue.settings, flat_keys(config)
    before = settings.get(CONFIGURATION)
    text = msgspec.json.encode(keys, enc_hook=plain).decode()
    if before == text:
        return None
    entry = None
    if before is not None and (changes := changed_keys(_decode(before), keys)):
        entry = catalogue.pass_history.add_audit(
            at=at,
            who=who,
            door="file",
            what="configuration",
            mirror="",
            outcome=count(len(changes), "{n} key changed", "{n:,} keys changed"),
            changes=changes,
            details={"file": str(file)} if file is not None else None,
        )
    settings.set(CONFIGURATION, text)
    return entry


def owner_of(file: str) -> str:
    """Return the name of the user who owns a file, or "". Blocks."""
    with suppress(OSError, KeyError):
        return pwd.getpwuid(Path(file).stat().st_uid).pw_name if file else ""
    return ""


def _keys(text: str | None) -> dict[str, str]:
    """Return the keys of a manifest; none if this syncd does not understand it."""
    with suppress(ConfigError):
        return flat_keys(parse(text, "manifest")) if text is not None else {}
    return {}
