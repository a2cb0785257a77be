"""`syncd usage`: what the node gave, to whom, and what the network was spared by it."""

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from syncd.cli import output
from syncd.cli.registration import command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext
    from syncd.control import UsageReport


@command("syncd usage --from 2026-01 --to 2026-12 --by institution")
async def usage(
    context: "CommandContext",
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="The first day or month (UTC).")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day or month (UTC).")] = "",
    by: Annotated[str, typer.Option(metavar="WHAT", help="mirror, institution, country, month or kind.")] = "mirror",
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV output.")] = False,
    dsr: Annotated[bool, typer.Option("--dsr", help="The dataset report of COUNTER, of mirrors with a DOI.")] = False,
) -> int:
    """Show what was delivered from this node, by default in the last twelve months, and what the network was spared."""
    import time
    from asyncio import to_thread
    from typing import cast

    from manifests.messages import message
    from syncd.catalogue import Catalogue, has_catalogue
    from syncd.control import UsageBy
    from syncd.core import ConfigError
    from syncd.process import DONE
    from syncd.usage import read_hours, read_period, read_report

    kinds = get_args(UsageBy)
    if by not in kinds:
        raise ConfigError(
            message("--by {kind}: is not an allowed value; allowed: {names}", kind=by, names=", ".join(kinds))
        )
    if as_csv + context.json + dsr > 1:
        raise ConfigError(message("--csv, --dsr and --json exclude each other: give one of them"))
    config, period = context.config, read_period(first, last, time.time())
    if dsr:
        from syncd.session import read_dataset_report

        async with context.read_all() as session:
            output.print_text((await read_dataset_report(session, period, time.time())).decode())
        return DONE

    def read() -> "UsageReport":
        fetched: list[tuple[str, str, int]] = []
        if has_catalogue(config.state):
            with Catalogue(config.state, read_only=True) as catalogue:
                fetched = catalogue.pass_history.fetched(*period)
        hours = read_hours(config.usage.hours)
        return read_report(config.state, period, cast("UsageBy", by), fetched, hours, config.usage.country or "")

    report = await to_thread(read)
    if context.json:
        output.print_json(report)
    elif as_csv:
        from syncd.usage import report_csv

        output.print_text(report_csv(report))
    else:
        _print(report)
    return DONE


def _print(report: "UsageReport") -> None:
    output.print_line(f"from {report.first} to {report.last} (UTC)")
    if not report.rows:
        output.print_line("nothing was delivered that is counted" + ("" if report.since else ": there are no counts"))
    else:
        columns = (report.by, ">requests", ">files", ">bytes", ">views", ">COUNTER requests", ">clients a day")
        output.table(
            columns,
            (
                (
                    row.value,
                    f"{row.figures.requests:,}",
                    f"{row.figures.files:,}",
                    f"{row.figures.bytes:,}",
                    f"{row.figures.views:,}",
                    f"{row.figures.strict_requests:,}",
                    str(row.figures.clients),
                )
                for row in report.rows
            ),
        )
    if report.saved:
        output.print_line()
        output.table(
            ("mirror", "month", ">delivered", ">fetched", ">network saved", ">ratio"),
            (
                (
                    one.mirror,
                    one.month,
                    f"{one.delivered:,}",
                    f"{one.fetched:,}",
                    f"{one.saved:,}",
                    "" if one.ratio is None else f"{one.ratio:,}",
                )
                for one in report.saved
            ),
        )
    if report.hours:
        output.print_line()
        output.table(
            ("instrument", "month", ">hours"), ((one.mirror, one.month, f"{one.hours:,}") for one in report.hours)
        )
