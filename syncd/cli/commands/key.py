"""`syncd key`: makes, shows, changes and revokes the keys with which a node signs the heads of its mirrors.

Rules:
1. A secret key is written to a new file that only its owner can read, and is never printed.
2. Changing keys only writes files: the daemon publishes the new set when its configuration names the new key.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli import output
from syncd.cli.registration import Json, config_file, group, plain_command, shared_options

if TYPE_CHECKING:
    from manifests.node_keys import KeyChain
    from syncd.exchange import SecretKey

key = group(
    "key", "The key with which a node signs the heads of its published mirrors.", "syncd key new --out node.key"
)
KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The file of a secret key.")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="The file of the new secret key; it must not exist.")]
Passphrase = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file that holds the passphrase of secret keys.")
]


@plain_command("syncd key new --out /etc/syncd/node.key", name="new", below=key)
def new(out: Out, passphrase_file: Passphrase = None, json: Json = False) -> int:
    """Make a key pair. Prints the public key, which other nodes write into their manifests."""
    from syncd.exchange import SecretKey
    from syncd.process import DONE

    made = SecretKey.generate()
    _write(out, made, _passphrase(passphrase_file))
    _write_audit("key new", made, out)
    _print_public(made, json=json, file=out)
    if not json:
        output.print_line(f"write into syncd.yaml: serve: {{key: {{file: {out}}}}}")
    return DONE


@plain_command("syncd key show /etc/syncd/node.key", name="show", below=key)
def show(file: KeyFile, passphrase_file: Passphrase = None, json: Json = False) -> int:
    """Print the public key of a secret key, and the keys that the node has published."""
    from syncd.exchange import current_keys
    from syncd.process import DONE

    held = _read(file, _passphrase(passphrase_file))
    chain = _chain(file)
    keys = current_keys(chain) if chain is not None else None
    if json:
        output.print_json(
            {
                "public": held.public.text,
                "id": held.public.name,
                "version": keys.version if keys is not None else 0,
                "keys": list(keys.keys) if keys is not None else [held.public.text],
                "threshold": keys.threshold if keys is not None else 1,
                "expires": output.instant(keys.expires) if keys is not None else None,
            }
        )
        return DONE
    _print_public(held, json=False, file=file)
    if keys is not None:
        output.print_line(f"version {keys.version} of the node's keys, valid until {output.instant(keys.expires)}:")
        for one in keys.keys:
            output.print_line(f"  {one}")
    return DONE


@plain_command(
    "syncd key rotate /etc/syncd/node.key --out /etc/syncd/node-2.key --node cn-demo", name="rotate", below=key
)
def rotate(
    file: KeyFile,
    out: Out,
    node: Annotated[str, typer.Option(metavar="NAME", help="The node's name, as in serve.name.")],
    also: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A public key that stays or is added; may be repeated.")
    ] = None,
    threshold: Annotated[int, typer.Option(metavar="N", help="How many keys must sign the next set.")] = 1,
    key_file: Annotated[
        list[Path] | None,
        typer.Option("--key", metavar="FILE", help="A further secret key that signs this; may be repeated."),
    ] = None,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> int:
    """Make a new key that takes the place of an old one; the old one signs it, so other nodes follow."""
    from syncd.exchange import SecretKey
    from syncd.process import DONE

    passphrase = _passphrase(passphrase_file)
    old, made = _read(file, passphrase), SecretKey.generate()
    signers = [old, made, *(_read(one, passphrase) for one in key_file or [])]
    longer = _longer(file, node, old, [made.public.text, *(also or [])], signers, threshold)
    _write(out, made, passphrase)
    _write_chain(out, longer)
    _write_audit("key rotate", made, out, {"before": old.public.text})
    _print_public(made, json=json, file=out)
    if not json:
        output.print_line(f"write into syncd.yaml: serve: {{key: {{file: {out}}}}}, and reload the daemon")
    return DONE


@plain_command(
    "syncd key revoke RWSk0ZJ0OvYd… --key /media/offline.key --keep /etc/syncd/node-2.key", name="revoke", below=key
)
def revoke(
    public: Annotated[str, typer.Argument(metavar="KEY", help="The public key that is no longer trusted.")],
    key_file: Annotated[
        list[Path],
        typer.Option("--key", metavar="FILE", help="A secret key of the node that signs this; may be repeated."),
    ],
    keep: Annotated[Path, typer.Option(metavar="FILE", help="The secret key that signs heads from now on.")],
    node: Annotated[str, typer.Option(metavar="NAME", help="The node's name, as in serve.name.")],
    chain: Annotated[Path | None, typer.Option(metavar="FILE", help="The node's keys so far (…keys.json).")] = None,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> int:
    """Publish keys without a compromised one. Other nodes refuse what it signs once they saw the new set."""
    from manifests.messages import message
    from syncd.core import ConfigError
    from syncd.exchange import current_keys
    from syncd.process import DONE

    passphrase = _passphrase(passphrase_file)
    signers = [_read(one, passphrase) for one in key_file]
    kept = _read(keep, passphrase)
    before = _chain_at(chain) if chain is not None else _chain(keep) or _chain(key_file[0])
    if before is None or public not in current_keys(before).keys:
        raise ConfigError(message("{key}: is none of the node's published keys: see syncd key show", key=public[:80]))
    known = current_keys(before)
    rest = [kept.public.text, *(one for one in known.keys if one != public)]
    longer = _longer(keep, node, signers[0], rest, [*signers, kept], known.threshold, before)
    _write_chain(keep, longer)
    _write_audit("key revoke", kept, keep, {"revoked": public})
    _print_public(kept, json=json, file=keep)
    if not json:
        output.print_line(f"write into syncd.yaml: serve: {{key: {{file: {keep}}}}}, and reload the daemon")
    return DONE


def _write_audit(what: str, held: "SecretKey", file: Path, details: dict[str, str] | None = None) -> None:
    """Write an act to the audit log of the state folder that the configuration names, if there is one."""
    from manifests.messages import message
    from syncd.cli.audit import write_audit_entry
    from syncd.core import ConfigError

    try:
        state = shared_options(config=config_file(None)).state
    except ConfigError:  # a key is made before there is a configuration
        return
    outcome = message("the public key is {key}", key=held.public.text)
    write_audit_entry(state, what, outcome, details={"file": str(file)} | (details or {}))


def _longer(
    file: Path,
    node: str,
    old: "SecretKey",
    keys: list[str],
    signers: "list[SecretKey]",
    threshold: int,
    chain: "KeyChain | None" = None,
) -> "KeyChain":
    import time

    from manifests.messages import message
    from manifests.minisign import SignatureError
    from syncd.core import ConfigError
    from syncd.exchange import begin_chain, next_chain

    now = time.time()
    try:
        return next_chain(chain or _chain(file) or begin_chain(node, old, now), keys, signers, now, threshold=threshold)
    except SignatureError as error:
        raise ConfigError(message("{file}: the set of keys cannot be made: {cause}", file=file, cause=error)) from error


def _print_public(held: "SecretKey", *, json: bool, file: Path) -> None:
    if json:
        output.print_json({"public": held.public.text, "id": held.public.name, "file": str(file)})
    else:
        output.print_line(f"public key {held.public.name}: {held.public.text}")


def _passphrase(file: Path | None) -> str:
    if file is None:
        return ""
    from syncd.config import Secret, read_secret

    return read_secret(Secret(file=file.absolute()), "--passphrase-file", {})


def _read(file: Path, passphrase: str) -> "SecretKey":
    from manifests.messages import message
    from manifests.minisign import SignatureError
    from syncd.config import Secret, read_secret
    from syncd.core import ConfigError
    from syncd.exchange import parse_secret_key

    text = read_secret(Secret(file=file.absolute()), "FILE", {}, lines=True)
    try:
        return parse_secret_key(text, passphrase)
    except SignatureError as error:
        raise ConfigError(message("{file}: {cause}", file=file, cause=error)) from error


def _write(out: Path, made: "SecretKey", passphrase: str) -> None:
    from manifests.messages import message
    from syncd.core import ConfigError
    from syncd.exchange import write_secret_key

    try:
        write_secret_key(out, made, passphrase)
    except FileExistsError as error:
        raise ConfigError(message("{file}: exists: a key is never overwritten, name another file", file=out)) from error
    except OSError as error:
        raise ConfigError(message("{file}: cannot be written: {cause}", file=out, cause=error.strerror)) from error


def _chain(file: Path) -> "KeyChain | None":
    from syncd.exchange import chain_path

    found = chain_path(file)
    return _chain_at(found) if found.is_file() else None


def _chain_at(file: Path) -> "KeyChain":
    from manifests.messages import message
    from manifests.minisign import SignatureError
    from manifests.node_keys import parse_chain
    from syncd.core import ConfigError

    try:
        return parse_chain(file.read_bytes())
    except OSError as error:
        raise ConfigError(message("{file}: cannot be read: {cause}", file=file, cause=error.strerror)) from error
    except SignatureError as error:
        raise ConfigError(message("{file}: {cause}", file=file, cause=error)) from error


def _write_chain(file: Path, chain: "KeyChain") -> None:
    from manifests.messages import message
    from syncd.core import ConfigError
    from syncd.exchange import chain_path, chain_text

    found = chain_path(file)
    written = found.with_name(f"{found.name}.new")
    try:
        written.write_bytes(chain_text(chain))
        written.replace(found)
    except OSError as error:
        raise ConfigError(message("{file}: cannot be written: {cause}", file=found, cause=error.strerror)) from error
