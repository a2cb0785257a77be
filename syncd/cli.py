"""The command line: what stewards and operators type.

Exit codes: 0 done · 1 some files failed, the rest is done and recorded · 2 usage or manifest · 3 refused by a guard
(parked, lease held, no space) · 4 source or store unreachable · 130 interrupted.
"""

import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from syncd import commands
from syncd.commands import Context
from syncd.config import load_config
from syncd.errors import ConfigError, SyncdError
from syncd.running import INTERRUPTED, code_of, run
from syncd.show import complain

app = typer.Typer(
    name="syncd",
    help="Keep a proven, complete, current copy of foreign datasets.\n\n"
    "Exit codes: 0 done, 1 some files failed (the rest is done and recorded), 2 usage or manifest, "
    "3 refused by a guard (parked, lease held, no space), 4 source or store unreachable, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Config = Annotated[Path | None, typer.Option("--config", help="The daemon's configuration, syncd.yaml.")]
StoreUrl = Annotated[str | None, typer.Option("--store", help="A folder, or s3://bucket/prefix. [SYNCD_STORE]")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="The S3 server of the store. [SYNCD_ENDPOINT]")]
State = Annotated[Path | None, typer.Option("--state", help="The folder of the Catalogue. [SYNCD_STATE]")]
Private = Annotated[
    list[str] | None,
    typer.Option("--allow-private", metavar="ORIGIN", help="Let a source be on this private or loopback origin."),
]
Json = Annotated[bool, typer.Option("--json", help="Print for programs.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A mirror manifest.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Mirror manifests.")]
Mirror = Annotated[str, typer.Argument(metavar="MIRROR", help="The name of a mirror.")]


def _context(
    config: Path | None,
    store: str | None,
    endpoint: str | None,
    state: Path | None,
    private: list[str] | None,
    *,
    json: bool,
) -> Context:
    loaded = load_config(
        config, store=store, endpoint=endpoint, state=state, allow_private=private or (), environ=os.environ
    )
    return Context(loaded, os.environ, json=json)


def _run(work: Callable[[], Coroutine[Any, Any, int]], *, json: bool) -> None:
    """Run a command to its exit code; every failure we expect is one clear sentence."""
    try:
        code = run(work)
    except SyncdError as error:
        complain(error, json=json)
        code = code_of(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


@app.command(epilog="Example: syncd check manifests.d/ physionet.yaml")
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Manifests, or folders of them.")],
    json: Json = False,
) -> None:
    """Lint mirror manifests; every error with its file, line and column."""
    raise typer.Exit(commands.check(paths, json=json))


@app.command(epilog="Example: syncd survey physionet.yaml --json | head")
def survey(
    file: File,
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    allow_private: Private = None,
    json: Json = False,
) -> None:
    """Ask upstream what it has, and print the inventory."""
    _run(lambda: commands.survey(_context(config, store, endpoint, state, allow_private, json=json), file), json=json)


@app.command(epilog="Example: syncd plan physionet.yaml --all")
def plan(
    file: File,
    everything: Annotated[bool, typer.Option("--all", help="Every file, not only the first of each kind.")] = False,
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    allow_private: Private = None,
    json: Json = False,
) -> None:
    """Show what a pass would fetch, replace, keep and remove, and why. Changes nothing."""
    _run(
        lambda: commands.plan(
            _context(config, store, endpoint, state, allow_private, json=json), file, everything=everything
        ),
        json=json,
    )


@app.command(epilog="Example: syncd sync physionet.yaml --store /data/mirror")
def sync(
    files: Files,
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    allow_private: Private = None,
    json: Json = False,
) -> None:
    """Run one pass over each mirror: survey, plan, transfer, publish."""
    _run(lambda: commands.sync(_context(config, store, endpoint, state, allow_private, json=json), files), json=json)


@app.command(epilog="Example: syncd verify physionet-mitdb --read-data --repair")
def verify(
    mirror: Mirror,
    read_data: Annotated[bool, typer.Option("--read-data", help="Read every stored byte.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend from kept versions or from upstream; never by deleting.")
    ] = False,
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    allow_private: Private = None,
    json: Json = False,
) -> None:
    """Compare the store with what was proved."""
    _run(
        lambda: commands.verify(
            _context(config, store, endpoint, state, allow_private, json=json),
            mirror,
            read_data=read_data,
            repair=repair,
        ),
        json=json,
    )


@app.command(epilog="Example: syncd status --json")
def status(
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Show every mirror: how fresh, how large, what failed, what is parked."""
    _run(lambda: commands.status(_context(config, store, endpoint, state, None, json=json)), json=json)


@app.command(epilog="Example: syncd snapshots physionet-mitdb")
def snapshots(
    mirror: Mirror,
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """List the kept snapshots, the current one first."""
    _run(lambda: commands.snapshots(_context(config, store, endpoint, state, None, json=json), mirror), json=json)


@app.command(epilog="Example: syncd diff physionet-mitdb 3f2a91 c0ffee")
def diff(
    mirror: Mirror,
    before: Annotated[str, typer.Argument(metavar="A", help="A snapshot's id, or its beginning.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Show which files differ between two kept snapshots."""
    _run(
        lambda: commands.diff(_context(config, store, endpoint, state, None, json=json), mirror, before, after),
        json=json,
    )


@app.command(epilog="Example: syncd rollback physionet-mitdb 3f2a91")
def rollback(
    mirror: Mirror,
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="A kept snapshot's id, or its beginning.")],
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Make an earlier snapshot the current one; the next pass goes forward again."""
    _run(
        lambda: commands.rollback(_context(config, store, endpoint, state, None, json=json), mirror, snapshot),
        json=json,
    )


@app.command(epilog="Example: syncd approve physionet-mitdb")
def approve(
    mirror: Mirror,
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Let the parked removals through: exactly those, at the next pass."""
    _run(lambda: commands.approve(_context(config, store, endpoint, state, None, json=json), mirror), json=json)


@app.command(epilog="Example: syncd undelete physionet-mitdb 100.dat 100.hea")
def undelete(
    mirror: Mirror,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files that were removed.")],
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Bring removed files back, and keep them although upstream dropped them."""
    _run(lambda: commands.undelete(_context(config, store, endpoint, state, None, json=json), mirror, paths), json=json)


@app.command(epilog="Example: syncd rebuild --store /data/mirror --state ./state")
def rebuild(
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Fill the Catalogue again from what the store itself says; nothing is downloaded."""
    _run(lambda: commands.rebuild(_context(config, store, endpoint, state, None, json=json)), json=json)


@app.command(epilog="Example: syncd probe --store s3://mirror/ --endpoint https://s3.example.org")
def probe(
    config: Config = None,
    store: StoreUrl = None,
    endpoint: Endpoint = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Try what the store can do, and say whether it is good enough."""
    _run(lambda: commands.probe(_context(config, store, endpoint, state, None, json=json)), json=json)


def main() -> None:
    """Run the program."""
    # a reader that closes the pipe early (`| head`) ends us quietly
    with suppress(BrokenPipeError):
        app()
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["ConfigError", "app", "main"]
