"""Reads the form of a POST request, within bounds."""

from urllib.parse import parse_qsl

from aiohttp import web

from syncd.face.answers import Reject

LONGEST, FIELDS = 8_192, 16  # bytes and fields of a form


async def read_form(request: web.BaseRequest) -> list[tuple[str, str]]:
    """Return the fields of a form. Raises Reject for one that is too long, or is none."""
    if request.content_type != "application/x-www-form-urlencoded" or (request.content_length or 0) > LONGEST:
        raise Reject(400)
    body = b""
    while chunk := await request.content.read(LONGEST + 1 - len(body)):
        body += chunk
        if len(body) > LONGEST:
            raise Reject(400)
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS)
    except (ValueError, UnicodeDecodeError) as error:
        raise Reject(400) from error
