"""The command line: what stewards and operators type.

Exit codes: 0 done · 1 some files failed, the rest is done and recorded · 2 usage or manifest · 3 stopped by a
safeguard (deletions held, lease held, no space) · 4 source or store unreachable · 130 interrupted.

Rule: this module stands for all commands and imports next to nothing; a command imports what it works with when it is
called, so that none waits at its start for what another one needs.
"""

import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.core import ConfigError, Secrets, SyncdError, of_environment
from syncd.process import enable_after_imports, install

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext
    from syncd.config import Config

app = typer.Typer(
    name="syncd",
    help="Keep verified, complete and current copies of datasets that others publish.\n\n"
    "Exit codes: 0 done, 1 some files failed (the rest is done and recorded), 2 wrong usage or manifest, "
    "3 stopped by a safeguard (deletions held for approval, lease held by another process, no space), "
    "4 source or store unreachable, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A mirror manifest.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Mirror manifests.")]
Mirror = Annotated[str, typer.Argument(metavar="MIRROR", help="The name of a mirror.")]


Work = Coroutine[Any, Any, int]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"syncd {version('syncd')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None: ...


def _shared(
    *,
    config: Annotated[Path | None, typer.Option(help="The daemon's configuration, syncd.yaml.")] = None,
    store: Annotated[str | None, typer.Option(help="A folder, or s3://bucket/prefix. [SYNCD_STORE]")] = None,
    endpoint: Annotated[str | None, typer.Option(help="The S3 server of the store. [SYNCD_ENDPOINT]")] = None,
    state: Annotated[Path | None, typer.Option(help="The folder of the Catalogue. [SYNCD_STATE]")] = None,
    allow_private: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Allow sources on this private or loopback origin; may be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,  # noqa: ARG001  of all of them
) -> "Config":
    """Return the configuration that the options which every command shares say."""
    from syncd.config import load_config

    return load_config(
        config, store=store, endpoint=endpoint, state=state, allow_private=allow_private or (), environ=os.environ
    )


def command(
    example: str, *, name: str | None = None, asks_upstream: bool = False
) -> Callable[[Callable[..., Work]], Callable[..., None]]:
    """Register a command whose first parameter is a Context; the options that make one are added to its own."""
    shared = {
        name: option
        for name, option in signature(_shared).parameters.items()
        if asks_upstream or name != "allow_private"
    }

    def register(function: Callable[..., Work]) -> Callable[..., None]:
        _, *own = signature(function).parameters.values()

        @wraps(function)
        def called(**given: Any) -> None:
            options = {name: given.pop(name) for name in shared}
            json, secrets = options["json"], of_environment(os.environ)
            install(secrets)

            if asks_upstream and name != "run":  # its log says so
                _warn_of_proxies(json=json)

            def work() -> Work:
                from syncd.cli.context import CommandContext

                context = CommandContext(
                    _shared(**options),
                    os.environ,
                    json=json,
                    secrets=secrets,
                    load=lambda: _shared(**options),
                    file=options["config"],
                )
                begun = function(context, **given)  # what it works with is imported by now
                enable_after_imports()
                return begun

            _run(work, json=json, secrets=secrets)

        parameters = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*own, *shared.values())]
        # what typer reads
        called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # a function has one where it is set
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return app.command(name, epilog=f"Example: {example}")(called)

    return register


def _run(work: Callable[[], Work], *, json: bool, secrets: Secrets) -> None:
    """Run a command to its exit code; every failure we expect is one clear sentence."""
    from syncd.process import INTERRUPTED, run

    try:
        code = run(work)
    except SyncdError as error:
        code = _failed(error, json=json, secrets=secrets)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def _failed(error: SyncdError, *, json: bool, secrets: Secrets) -> int:
    """Say what went wrong, and return the exit code that it means."""
    from syncd.cli.output import print_error
    from syncd.process import code_of

    print_error(error, json=json, secrets=secrets)
    return code_of(error)


def _warn_of_proxies(*, json: bool) -> None:
    from syncd.cli.output import print_warning
    from syncd.config import ignored_proxies

    if proxies := ignored_proxies(os.environ):
        print_warning(
            f"{', '.join(proxies)}: set and ignored, because syncd uses no proxy (docs/operating.md)", json=json
        )


@app.command(epilog="Example: syncd check manifests.d/ physionet.yaml")
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Manifests, or folders of them.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check mirror manifests. Reports every mistake with its file, line and column."""
    from syncd.cli.commands import check

    _run_now(lambda: check.check(paths, json=json), json=json)


@command("syncd survey physionet.yaml --json | head", asks_upstream=True)
def survey(context: "CommandContext", file: File) -> Work:
    """Ask upstream what it has, and print the inventory."""
    from syncd.cli.commands import passes

    return passes.survey(context, file)


@command("syncd plan physionet.yaml --all", asks_upstream=True)
def plan(
    context: "CommandContext",
    file: File,
    everything: Annotated[bool, typer.Option("--all", help="Every file, not only the first few of each kind.")] = False,
) -> Work:
    """Show what a pass would do, and why. Changes nothing."""
    from syncd.cli.commands import passes

    return passes.plan(context, file, everything=everything)


@command("syncd sync physionet.yaml --store /data/mirror", asks_upstream=True)
def sync(context: "CommandContext", files: Files) -> Work:
    """Run one pass over each mirror: survey, plan, transfer, publish."""
    from syncd.cli.commands import passes

    return passes.sync(context, files)


@command("syncd run --config /etc/syncd/syncd.yaml", name="run", asks_upstream=True)
def run_daemon(context: "CommandContext") -> Work:
    """Run the daemon, its status page and its API. SIGHUP reloads all files, SIGTERM stops it."""
    from syncd.cli.commands import serve

    return serve.run(context)


@command("syncd verify physionet-mitdb --read-data --repair", asks_upstream=True)
def verify(
    context: "CommandContext",
    mirror: Mirror,
    read_data: Annotated[bool, typer.Option("--read-data", help="Read every stored byte.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair from kept versions or from upstream; deletes nothing.")
    ] = False,
) -> Work:
    """Compare the stored files with their records. Checks presence and size; with --read-data, every byte."""
    from syncd.cli.commands import verify

    return verify.verify(context, mirror, read_data=read_data, repair=repair)


@command("syncd status --json")
def status(context: "CommandContext") -> Work:
    """Show every mirror: age, size, failures, held deletions."""
    from syncd.cli.commands import looks

    return looks.status(context)


@command("syncd snapshots physionet-mitdb")
def snapshots(context: "CommandContext", mirror: Mirror) -> Work:
    """List the kept snapshots of a mirror, the current one first."""
    from syncd.cli.commands import looks

    return looks.snapshots(context, mirror)


@command("syncd diff physionet-mitdb 3f2a91 c0ffee")
def diff(
    context: "CommandContext",
    mirror: Mirror,
    before: Annotated[str, typer.Argument(metavar="A", help="A snapshot's id, or the beginning of it.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The snapshot to compare it with.")],
) -> Work:
    """Show which files differ between two kept snapshots."""
    from syncd.cli.commands import looks

    return looks.diff(context, mirror, before, after)


@command("syncd rollback physionet-mitdb 3f2a91")
def rollback(
    context: "CommandContext",
    mirror: Mirror,
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="A kept snapshot's id, or the beginning of it.")],
) -> Work:
    """Return to an earlier snapshot. The next pass follows upstream again."""
    from syncd.cli.commands import steps_back

    return steps_back.rollback(context, mirror, snapshot)


@command("syncd approve physionet-mitdb")
def approve(context: "CommandContext", mirror: Mirror) -> Work:
    """Approve the held deletions of a mirror. The next pass carries out exactly these."""
    from syncd.cli.commands import steps_back

    return steps_back.approve(context, mirror)


@command("syncd undelete physionet-mitdb 100.dat 100.hea")
def undelete(
    context: "CommandContext",
    mirror: Mirror,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files that were deleted.")],
) -> Work:
    """Restore deleted files, and keep them although upstream deleted them."""
    from syncd.cli.commands import steps_back

    return steps_back.undelete(context, mirror, paths)


@command("syncd rebuild --store /data/mirror --state ./state")
def rebuild(
    context: "CommandContext",
    from_backup: Annotated[
        str | None,
        typer.Option(
            "--from-backup", metavar="BACKUP", help="Restore a backup first: latest, or the beginning of its name."
        ),
    ] = None,
) -> Work:
    """Rebuild the Catalogue from the store. Downloads nothing."""
    from syncd.cli.commands import whole_store

    return whole_store.rebuild(context, from_backup)


@command("syncd probe --store s3://mirror/ --endpoint https://s3.example.org")
def probe(context: "CommandContext") -> Work:
    """Test what the store can do, and whether that is enough."""
    from syncd.cli.commands import whole_store

    return whole_store.probe(context)


@app.command(epilog="Example: syncd token anna --role operator")
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
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Create a token for the API and the page. Prints it, this once, and its line for syncd.yaml."""
    from syncd.cli import token as token_command

    raise typer.Exit(token_command.token(name, role, chosen=chosen, json=json))


shelf = typer.Typer(help="Ready-made manifests of well-known archives.", no_args_is_help=True)
app.add_typer(shelf, name="library", epilog="Example: syncd library add physionet-mitdb manifests.d/")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Ready = Annotated[str, typer.Argument(metavar="NAME", help="The name of a ready-made manifest.")]


@shelf.command("list", epilog="Example: syncd library list")
def list_library(json: Json = False) -> None:
    """List all ready-made manifests: field, access and title."""
    from syncd.cli import library

    _run_now(lambda: library.list_all(json=json), json=json)


@shelf.command("show", epilog="Example: syncd library show sentinel-1-grd")
def show_ready(name: Ready, json: Json = False) -> None:
    """Print a ready-made manifest with its comments: size, access, verification, pitfalls."""
    from syncd.cli import library

    _run_now(lambda: library.show_one(name, json=json), json=json)


@shelf.command("add", epilog="Example: syncd library add sentinel-1-grd manifests.d/")
def add_ready(
    name: Ready,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to copy it into.")] = Path(),
    json: Json = False,
) -> None:
    """Copy a ready-made manifest into a folder, and list what to fill in. An existing file stays as it is."""
    from syncd.cli import library

    _run_now(lambda: library.add(name, folder, json=json), json=json)


def _run_now(work: Callable[[], int], *, json: bool) -> None:
    """Run a command that waits for nothing to its exit code."""
    enable_after_imports()
    try:
        code = work()
    except SyncdError as error:
        code = _failed(error, json=json, secrets=of_environment(os.environ))
    raise typer.Exit(code)


def main() -> None:
    """Run the program."""
    # a reader that closes the pipe early (`| head`) ends us quietly
    with suppress(BrokenPipeError):
        app()
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["ConfigError", "app", "main"]
