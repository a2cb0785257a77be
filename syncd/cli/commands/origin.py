"""`syncd origin`: upstream origins are paused until a time, and limited while the daemon runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli import output
from syncd.cli.registration import command, group

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext

origin = group(
    "origin", "Upstream origins: pause one until a time, or change its rate.", "syncd origin pause https://x.org 2h"
)
OriginName = Annotated[str, typer.Argument(metavar="ORIGIN", help="As in https://example.org, or s3://bucket.")]


@command("syncd origin list", name="list", below=origin, asks_daemon=True)
async def list_origins(context: "CommandContext") -> int:
    """List the origins that the running daemon reads from, and those that are paused."""
    import msgspec

    from syncd.cli.acting import ask_whom
    from syncd.engine import origin_pauses
    from syncd.process import DONE

    client = await ask_whom(context)
    if client is not None:
        found: list[dict[str, Any]] = msgspec.json.decode(client.ask("GET", "/api/v1/origins"))["origins"]
    else:
        async with context.read_all() as session:
            paused = origin_pauses(session.catalogue.settings, session.now())
        found = [
            {"origin": name, "paused_until": one.until, "paused_by": one.who} for name, one in sorted(paused.items())
        ]
    if context.json:
        output.print_json(found)
    elif not found:
        output.print_line("no origin was asked yet, and none is paused")
    else:
        output.table(
            ("origin", ">requests", ">rate", ">limit", "paused until", "by"),
            (
                (
                    one["origin"],
                    str(one.get("active", 0)),
                    f"{output.size(int(one.get('rate') or 0))}/s",
                    f"{output.size(int(one['rate_limit']))}/s" if one.get("rate_limit") else "",
                    output.instant(one.get("paused_until")) or "",
                    one.get("paused_by") or "",
                )
                for one in found
            ),
        )
    return DONE


@command("syncd origin pause https://data.example.org 2h", name="pause", below=origin, asks_daemon=True)
async def pause(
    context: "CommandContext",
    name: OriginName,
    until: Annotated[str, typer.Argument(metavar="UNTIL", help="How long, as in 2h; or a time, 2027-01-31T06:00Z.")],
) -> int:
    """Send no request to an origin until a time. Passes that need it wait, over restarts of the daemon, too."""
    import time

    from syncd.engine import OriginPause, pause_origin, read_origin

    at = _time_of(until, time.time())
    return await _order(
        context,
        "pause",
        {"origin": read_origin(name), "until": at},
        lambda settings, who: pause_origin(settings, read_origin(name), OriginPause(at, who), time.time()),
    )


@command("syncd origin resume https://data.example.org", name="resume", below=origin, asks_daemon=True)
async def resume(context: "CommandContext", name: OriginName) -> int:
    """End the pause of an origin."""
    import time

    from syncd.engine import pause_origin, read_origin

    return await _order(
        context,
        "resume",
        {"origin": read_origin(name)},
        lambda settings, _who: pause_origin(settings, read_origin(name), None, time.time()),
    )


@command("syncd origin rate https://data.example.org 20MB/s", name="rate", below=origin, asks_daemon=True)
async def rate(
    context: "CommandContext",
    name: OriginName,
    limit: Annotated[str, typer.Argument(metavar="RATE", help="As in 20MB/s; none: no limit.")],
) -> int:
    """Limit the rate of an origin until the running daemon ends, whatever the manifests say."""
    from manifests.errors import InvalidValue
    from manifests.messages import message
    from manifests.model import parse_rate
    from syncd.core import ConfigError
    from syncd.engine import read_origin

    try:
        wanted = None if limit == "none" else float(parse_rate(limit))
    except InvalidValue as error:
        raise ConfigError(message("{rate}: is not a rate: {cause}", rate=limit, cause=error)) from error
    return await _order(context, "rate", {"origin": read_origin(name), "rate": wanted}, None)


async def _order(context: "CommandContext", verb: str, body: dict[str, Any], alone: Any) -> int:
    """Give an order to the daemon, or record it for the next one; `alone` does that, None if it cannot be done."""
    import msgspec

    from manifests.messages import message
    from syncd.cli.acting import ask_whom
    from syncd.cli.audit import audited, person
    from syncd.core import Busy
    from syncd.process import DONE

    client = await ask_whom(context)
    if client is not None:
        outcome = msgspec.json.decode(client.ask("POST", f"/api/v1/origins/{verb}", body))["outcome"]
    elif alone is None:
        raise Busy(message("no daemon runs here: write limits.rate into the manifest"))
    else:
        async with context.open_session(context.report) as session:
            with audited(session, "", f"{verb} origin") as act:
                alone(session.catalogue.settings, str(person()))
                act.outcome = outcome = (
                    message(
                        "{origin} is paused until {time}", origin=body["origin"], time=output.instant(body["until"])
                    )
                    if verb == "pause"
                    else message("{origin} is resumed", origin=body["origin"])
                )
    if context.json:
        output.print_json(body | {"outcome": str(outcome)})
    else:
        output.print_line(outcome)
    return DONE


def _time_of(text: str, now: float) -> float:
    """Return a time, from now on or of the calendar. Raises ConfigError."""
    from datetime import UTC, datetime

    from manifests.errors import InvalidValue
    from manifests.messages import message
    from manifests.model import parse_duration
    from syncd.core import ConfigError

    try:
        return now + parse_duration(text)
    except InvalidValue:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            message("{text}: is no time: write how long, as in 2h, or a time, as in 2027-01-31T06:00Z", text=text)
        ) from error
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
