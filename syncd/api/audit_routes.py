"""What the API's routes do about the audit log: list it, export it as JSON lines, check its chain."""

from typing import Any

import msgspec
from aiohttp import web

from manifests.messages import message, plain
from manifests.timestamps import parse_moment
from syncd.api.context import ApiContext
from syncd.api.errors import HttpError
from syncd.api.routes import Call
from syncd.core import AuditVerdict, AuditView

BATCH = 500  # entries of an export that are read at a time


async def list_audit(context: ApiContext, call: Call) -> list[AuditView]:
    """Return a part of the audit log."""
    return await context.control.audit(before=call.query.before, limit=call.query.limit, **chosen(call))


async def export_audit(context: ApiContext, call: Call) -> web.StreamResponse:
    """Answer with the audit log as JSON lines, the oldest entry first."""
    wanted = chosen(call)
    page = await context.control.audit(after=0, limit=BATCH, **wanted)
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/jsonl",
            "Content-Disposition": 'attachment; filename="syncd-audit.jsonl"',
        }
    )
    await response.prepare(call.request)
    if call.request.method == "HEAD":
        return response
    while page:
        await response.write(b"".join(msgspec.json.encode(one, enc_hook=plain) + b"\n" for one in page))
        page = await context.control.audit(after=page[-1].id, limit=BATCH, **wanted) if len(page) == BATCH else []
    await response.write_eof()
    return response


async def check_audit(context: ApiContext, call: Call) -> AuditVerdict:  # noqa: ARG001  as of every responder
    """Answer whether the audit log is whole."""
    return await context.control.check_audit()


def chosen(call: Call) -> dict[str, Any]:
    """Return what a query selects of the audit log. Raises HttpError for a time that is none."""
    query = call.query
    return {
        "since": _moment("since", query.since),
        "until": _moment("until", query.until),
        "mirror": query.mirror,
        "act": query.act,
    }


def _moment(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        return parse_moment(text)
    except (ValueError, OverflowError) as error:
        raise HttpError(
            400,
            "Unsupported",
            message("{name} is no time: {text}", name=name, text=text[:40]),
            message("write it as in 2026-11-30 or 2026-11-30T12:00:00Z"),
        ) from error
