"""`syncd token`: creates a token for the API and the page, and prints its line for syncd.yaml."""

import sys
from typing import Annotated, get_args

import typer

from syncd.cli import output
from syncd.cli.registration import Json, plain_command


@plain_command("syncd token anna --role operator")
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for; the audit log shows this name.")],
    role: Annotated[
        str,
        typer.Option(
            metavar="ROLE", help="reader: may read. operator: may also sync, pause, resume, cancel and approve."
        ),
    ] = "reader",
    chosen: Annotated[
        bool, typer.Option("--chosen", help="Hash your own token, read from standard input, instead of creating one.")
    ] = False,
    json: Json = False,
) -> int:
    """Create a token for the API and the page. Prints it, this once, and its line for syncd.yaml."""
    from pydantic import ValidationError

    from syncd.api import SHORTEST, make_token, scrypt
    from syncd.config import Role, Token
    from syncd.core import printable
    from syncd.process import DONE, USAGE

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
        if any(one["loc"][:1] == ("role",) for one in error.errors(include_url=False)):
            sys.stderr.write(f"syncd: ROLE: {printable(role[:64])} is no role: write {' or '.join(get_args(Role))}\n")
            return USAGE
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
