"""`syncd token`: makes a token for the API and the page, and says which line of syncd.yaml lets it in."""

import sys

from pydantic import ValidationError

from syncd.api import SHORTEST, make_token, scrypt
from syncd.cli import output
from syncd.config import Token
from syncd.core import printable
from syncd.process import DONE, USAGE


def token(name: str, role: str, *, chosen: bool, json: bool) -> int:
    """Make a token and print its line for syncd.yaml, or the line of a token that somebody chose."""
    if chosen:
        made = sys.stdin.readline(1_000).strip()
        if len(made) < SHORTEST:
            sys.stderr.write(
                f"syncd: the token on standard input is shorter than {SHORTEST} characters: choose a longer one\n"
            )
            return USAGE
        hashed = {"scrypt": scrypt(made)}
    else:
        made, digest = make_token()
        hashed = {"sha256": digest}
    try:
        entry = Token.model_validate({"name": name, "role": role, **hashed})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            where = str(one["loc"][0]).upper() if one["loc"] else "NAME"
            sys.stderr.write(f"syncd: {where}: {printable(one['msg'])}: see syncd token --help\n")
        return USAGE
    line = entry.model_dump(exclude_none=True)
    if json:
        output.print_json({"token": None if chosen else made, "entry": line})
        return DONE
    if not chosen:
        output.print_line(f"the token, shown only once: {made}")
    (kind, digest), *_ = hashed.items()
    output.print_line("add this line to syncd.yaml, below tokens:")
    output.print_line(f'  - {{name: {name}, role: {role}, {kind}: "{digest}"}}')
    return DONE
