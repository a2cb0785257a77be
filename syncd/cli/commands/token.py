"""`syncd token`: creates tokens for the API, the page and partners; lists and revokes those of syncd.yaml."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from syncd.cli import output
from syncd.cli.registration import CONFIG, Json, config_file, plain_command, shared_options

if TYPE_CHECKING:
    from syncd.config import Config

ROLE = (
    "reader: may read. steward: may also plan, sync, approve and reject on the mirrors that --mirrors names. operator: "
    "may do everything. partner: an institution that may read the published mirrors that need a token."
)


@plain_command("syncd token anna --role operator")
def token(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Whose it is, for the audit log; or list, revoke or accept.")
    ],
    whose: Annotated[str, typer.Argument(metavar="NAME", help="After revoke and accept: whose token.")] = "",
    mirror: Annotated[str, typer.Argument(metavar="MIRROR", help="After accept: whose terms were accepted.")] = "",
    role: Annotated[str, typer.Option(metavar="ROLE", help=ROLE)] = "reader",
    mirrors: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Limit it to mirrors, as in landsat-*; may be repeated."),
    ] = None,
    institution: Annotated[str, typer.Option(metavar="TEXT", help="Partners: the institution.")] = "",
    country: Annotated[str, typer.Option(metavar="CODE", help="Partners: the country, as in cn.")] = "",
    rate: Annotated[str, typer.Option(metavar="RATE", help="Partners: the most in all, as in 50MB/s.")] = "",
    until: Annotated[
        str, typer.Option(metavar="DATE", help="The last day on which it is good, as in 2027-12-31.")
    ] = "",
    chosen: Annotated[
        bool, typer.Option("--chosen", help="Hash your own token, read from standard input, instead of creating one.")
    ] = False,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=CONFIG)] = None,
    json: Json = False,
) -> int:
    """Create a token, and print it, this once, with its line for syncd.yaml.

    Or list the tokens, revoke one, or record that its owner accepted the terms of a mirror.
    """
    from syncd.cli.token_lines import accept_terms, list_tokens, revoke_token
    from syncd.process import USAGE

    def load() -> "Config":
        return shared_options(config=config_file(config))

    if name == "list" and not whose:
        return list_tokens(load(), json=json)
    if name == "revoke" and whose and not mirror:
        return revoke_token(config_file(config), load, whose, json=json)
    if name == "accept" and whose and mirror:
        return accept_terms(load(), whose, mirror, json=json)
    if whose or name in {"list", "revoke", "accept"}:
        sys.stderr.write(
            "syncd: write syncd token NAME, syncd token list, syncd token revoke NAME or "
            "syncd token accept NAME MIRROR\n"
        )
        return USAGE
    given = {
        "name": name, "role": role, "mirrors": [one for several in mirrors or () for one in several.split(",")],
        "institution": institution, "country": country.lower(), "rate": rate, "until": until,
    }  # fmt: skip
    return _create({key: value for key, value in given.items() if value or key == "name"}, chosen=chosen, json=json)


def _create(given: dict[str, Any], *, chosen: bool, json: bool) -> int:
    from pydantic import ValidationError

    from syncd.api import SHORTEST, make_token, scrypt
    from syncd.cli.token_lines import token_line
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
        entry = Token.model_validate({**given, **hashed})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            where = str(one["loc"][0]).upper() if one["loc"] else "NAME"
            value = printable(str(given.get(where.lower(), ""))[:64])
            said = printable(one["msg"]).removeprefix("Value error, ") + ": see syncd token --help"
            if where == "ROLE":
                *first, last = get_args(Role)
                said = f"{value} is no role: write {', '.join(first)} or {last}"
            sys.stderr.write(f"syncd: {where}: {said}\n")
        return USAGE
    if json:
        line = entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        output.print_json(
            {"token": None if chosen else made, "entry": {"name": entry.name, "role": entry.role, **line}}
        )
        return DONE
    if not chosen:
        output.print_line(f"the token, shown only once: {made}")
    output.print_line("add this line to syncd.yaml, below tokens:")
    output.print_line(token_line({"name": entry.name, "role": entry.role, **given, **hashed}))
    return DONE
