"""`syncd audit`: shows, exports and checks the record of what people changed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import output
from syncd.cli.registration import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncd.cli.context import CommandContext
    from syncd.core import AuditVerdict, AuditView

BATCH = 500


@command("syncd audit --since 2026-11-23 --mirror physionet-mitdb")
async def audit(
    context: "CommandContext",
    action: Annotated[
        str, typer.Argument(metavar="[verify]", help="verify: check the hash chain, and name what does not fit.")
    ] = "",
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="After verify: an exported log, instead of this one.")
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="From this day or moment on, as in 2026-11-23.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Before this day or moment.")] = "",
    mirror: Annotated[str, typer.Option(metavar="MIRROR", help="Of this mirror only.")] = "",
    act: Annotated[str, typer.Option(metavar="ACT", help="Of this kind only, as in approve.")] = "",
) -> int:
    """Show who changed what, the oldest first. With --json, one line for each entry: an export that can be verified.

    verify exits with 1 if an entry was changed or removed, and names the first one that does not fit.
    """
    from manifests.messages import message
    from syncd.core import ConfigError
    from syncd.process import DONE

    if action not in {"", "verify"}:
        raise ConfigError(message("write syncd audit, or syncd audit verify [FILE]"))
    if file is not None:
        return _report(context, await _check_file(file))
    async with context.read_all() as session:
        if action:
            from syncd.engine import read_anchors

            anchors = await read_anchors(session.store)
            return _report(context, session.catalogue.pass_history.check_audit(anchors))
        wanted = {"since": _moment("--since", since), "until": _moment("--until", until), "mirror": mirror, "act": act}
        shown, after = 0, 0
        while page := session.catalogue.pass_history.audit(None, BATCH, after=after, **wanted):
            for one in page:
                _print(context, one)
            shown, after = shown + len(page), page[-1].id
        if not shown and not context.json:
            output.print_line("nothing is recorded")
        return DONE


def _print(context: "CommandContext", one: "AuditView") -> None:
    if context.json:
        output.print_json(one)
        return
    when, by = output.instant(one.at) or "", f"{one.who or '-'}" + (f" [{one.door}]" if one.door else "")
    output.print_line(f"{one.id}  {when}  {by}  {one.what}  {one.mirror or '-'}  {one.outcome}")
    for change in one.changes:
        output.print_line(f"    {change.key}: {_value(change.old)} → {_value(change.new)}")


def _value(text: str | None) -> str:
    return "(absent)" if text is None else text


def _report(context: "CommandContext", found: "AuditVerdict") -> int:
    from syncd.process import DONE, SOME_FAILED

    if context.json:
        output.print_json(found)
    else:
        number = f"{found.entries:,} {'entry' if found.entries == 1 else 'entries'}"
        output.print_line(f"{number}, {found.first} to {found.last}; last hash {found.hash}")
        if found.misfit is not None:
            output.print_line(f"entry {found.misfit.entry} does not fit: {found.misfit.reason}")
    return DONE if found.misfit is None else SOME_FAILED


async def _check_file(file: Path) -> "AuditVerdict":
    import asyncio

    from syncd.core import check_chain

    return await asyncio.to_thread(lambda: check_chain(_exported(file), is_whole=False))


def _exported(file: Path) -> "Iterator[AuditView]":
    import msgspec

    from manifests.messages import message
    from syncd.core import AuditView, ConfigError

    decode = msgspec.json.Decoder(AuditView).decode
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise ConfigError(
                        message("{file}:{number}: is no entry: {cause}", file=file, number=number, cause=error)
                    ) from error
    except OSError as error:
        raise ConfigError(message("{file}: cannot be read: {cause}", file=file, cause=error.strerror)) from error


def _moment(name: str, text: str) -> Any:
    from manifests.messages import message
    from manifests.timestamps import parse_moment
    from syncd.core import ConfigError

    try:
        return parse_moment(text) if text else None
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            message(
                "{name}: {text} is no time: write it as in 2026-11-30 or 2026-11-30T12:00:00Z", name=name, text=text
            )
        ) from error
