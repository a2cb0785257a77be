"""Reads the Catalogue for a command that needs nothing else: neither store nor event loop.

Two rare cases cost more: a configuration file is checked as a whole, and an interrupted publish is finished
first, as each session does that only reads.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.catalogue import Catalogue, has_catalogue, interrupted_mirrors
from syncd.cli.output import print_config
from syncd.config import find_config, state_folder, store_location
from syncd.core import Damaged, Offline, Secrets
from syncd.process import enable_after_imports

if TYPE_CHECKING:
    from syncd.config import Config

Reading = Callable[[Catalogue | None, Path, bool], int]


def read_catalogue(read: Reading, options: dict[str, Any], environ: Mapping[str, str], secrets: Secrets) -> int:
    """Call `read` with the Catalogue, its folder and whether to print JSON; return its exit code."""
    json: bool = options["json"]
    file: Path | None = options["config"]
    if file is None and (file := find_config(environ)) is not None:
        print_config(file, json=json)
    if file is None:
        store_location(options["store"], options["endpoint"], environ)  # reports what is wrong with them
        state = state_folder(options["state"], environ)
    else:
        state = _config(file, options, environ).state
    if not has_catalogue(state):  # or else it would be created
        return read(None, state, json)
    try:
        with Catalogue(state, read_only=True) as catalogue:
            if not interrupted_mirrors(catalogue):
                enable_after_imports()
                return read(catalogue, state, json)
    except (Offline, Damaged):  # one of an older syncd, for example: opening it for work migrates it, or says why not
        pass
    return _in_session(read, _config(file, options, environ), environ, secrets, json=json)


def _config(file: Path | None, options: dict[str, Any], environ: Mapping[str, str]) -> "Config":
    from syncd.config import load_config  # noqa: PLC0415  seldom needed, and slow to import

    given = {name: options[name] for name in ("store", "endpoint", "state")}
    return load_config(file, **given, environ=environ)


def _in_session(read: Reading, config: "Config", environ: Mapping[str, str], secrets: Secrets, *, json: bool) -> int:
    from syncd.cli.context import CommandContext  # noqa: PLC0415  as above
    from syncd.process import run  # noqa: PLC0415  as above

    async def work() -> int:
        context = CommandContext(config, environ, json=json, secrets=secrets)
        async with context.open_session(context.report, writing=False) as session:
            return read(session.catalogue, config.state, json)

    return run(work)
