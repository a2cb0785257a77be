"""Registers commands: a file of `syncd.cli.commands` declares one with `command` or `plain_command`.

Rule: a command imports its dependencies when it is called, so that no command loads those of another one, and `--help`
loads none. This module and the top of a command's file import next to nothing.
"""

import os
from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from syncd.core import Secrets, SyncdError, of_environment
from syncd.process import enable_after_imports, install

if TYPE_CHECKING:
    from syncd.catalogue import Catalogue
    from syncd.cli.context import CommandContext
    from syncd.config import Config

CONFIG = (
    "The configuration. [SYNCD_CONFIG] Otherwise the first that exists of ./syncd.yaml, "
    "$XDG_CONFIG_HOME/syncd/syncd.yaml (~/.config by default) and /etc/syncd/syncd.yaml."
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ManifestFile = Annotated[Path, typer.Argument(metavar="FILE", help="A mirror manifest.")]
ManifestFiles = Annotated[list[Path], typer.Argument(metavar="FILE", help="Mirror manifests.")]
MirrorName = Annotated[str, typer.Argument(metavar="MIRROR", help="The name of a mirror.")]

Work = Coroutine[Any, Any, int]
Reading = Callable[["Catalogue | None", Path, bool], int]


class _Command(typer.core.TyperCommand):
    """A command whose help names arguments without their Python types."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        for parameter in self.params:
            if isinstance(parameter, typer.core.TyperArgument):
                setattr(parameter, "display_type", _no_type)  # noqa: B010  of this one parameter

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, whose values are converted plainly."""
        return _converted_plainly(super().get_params(ctx))


class _Group(typer.core.TyperGroup):
    """A group whose own options are converted plainly."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, whose values are converted plainly."""
        return _converted_plainly(super().get_params(ctx))


def _converted_plainly(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        is_flag = getattr(parameter, "is_flag", False)  # its value is True, False or None
        if (plain := _PLAIN.get(str if is_flag and kind is bool else kind)) is not None:
            setattr(parameter, "_runtime_param", plain)  # noqa: B010  of this one parameter
    return parameters


def _no_type(_context: object) -> str:
    return ""


class _PlainValue:
    """Converts the values of one parameter. Typer's own way imports pydantic, which takes longer than all the rest."""

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind

    def coerce(self, value: Any, param: typer.core.TyperOption | typer.core.TyperArgument, ctx: object) -> Any:
        """Return what a command is given for the words of the command line."""
        del ctx
        if param.multiple or param.nargs == -1:
            return () if value is None else [self._kind(one) for one in value]
        return None if value is None else self._kind(value)


_PLAIN: dict[Any, _PlainValue] = {
    str: _PlainValue(str),
    Path: _PlainValue(Path),
    list[str]: _PlainValue(str),
    list[Path]: _PlainValue(Path),
}
"""By the annotation of a parameter; values of other types are converted, and refused, by typer."""


app = typer.Typer(
    name="syncd",
    cls=_Group,
    help="Keep verified, complete and current copies of datasets that others publish.\n\n"
    "Exit codes: 0 done, 1 some files failed (the rest is done and recorded), 2 wrong usage or manifest, "
    "3 stopped by a safeguard (losses held for approval, no file found, lease held by another process, no space, "
    "Catalogue damaged), 4 source or store unreachable, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


def config_file(named: Path | None) -> Path | None:
    """Return the configuration file that commands read, None if there is none."""
    from syncd.config import find_config

    return named or find_config(os.environ)


def shared_options(
    *,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=CONFIG)] = None,
    store: Annotated[
        str | None, typer.Option(metavar="STORE", help="A folder, or s3://bucket/prefix. [SYNCD_STORE]")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="The S3 server of the store. [SYNCD_ENDPOINT]")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The folder of the Catalogue. [SYNCD_STATE]")
    ] = None,
    allow_private: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Allow sources on this private or loopback origin; may be repeated."),
    ] = None,
    json: Json = False,  # noqa: ARG001  shared by all commands
) -> "Config":
    """Return the configuration according to the shared options."""
    from syncd.config import load_config

    return load_config(
        config, store=store, endpoint=endpoint, state=state, allow_private=allow_private or (), environ=os.environ
    )


def source_context(config: Path | None, allow_private: list[str] | None, *, json: bool) -> "CommandContext":
    """Return the context of a command that asks upstream and needs no store."""
    from syncd.cli.context import CommandContext
    from syncd.config import find_config

    secrets = of_environment(os.environ)
    install(secrets)
    found = config if config is not None else find_config(os.environ)
    loaded = shared_options(config=found, allow_private=allow_private)
    return CommandContext(loaded, os.environ, json=json, secrets=secrets, file=found)


def command(
    example: str,
    *,
    name: str | None = None,
    below: typer.Typer = app,
    asks_upstream: bool = False,
    asks_daemon: bool = False,
    is_daemon: bool = False,
) -> Callable[[Callable[..., Work]], Callable[..., None]]:
    """Register a command whose first parameter is a CommandContext; the shared options are added to its own.

    `below` is a group of commands. `asks_upstream` adds `--allow-private`, `asks_daemon` adds `--url`.
    With `is_daemon`, warnings go to the log.
    """
    shared = _shared(asks_upstream=asks_upstream, asks_daemon=asks_daemon)

    def register(function: Callable[..., Work]) -> Callable[..., None]:
        _, *own = signature(function).parameters.values()

        @wraps(function)
        def called(**given: Any) -> None:
            options = {name: given.pop(name) for name in shared}
            json, secrets = options["json"], of_environment(os.environ)
            url = options.pop("url", None) or (os.environ.get("SYNCD_URL") if asks_daemon else None)
            install(secrets)

            def work() -> Work:
                from syncd.cli.context import CommandContext
                from syncd.config import find_config

                if options["config"] is None and (found := find_config(os.environ)) is not None:
                    options["config"] = found
                    if not is_daemon:  # its log says so
                        _report_config(found, json=json)
                context = CommandContext(
                    shared_options(**options),
                    os.environ,
                    json=json,
                    secrets=secrets,
                    load=lambda: shared_options(**options),
                    file=options["config"],
                    url=url,
                )
                return _begin(function(context, **given))

            _run(work, json=json, secrets=secrets)

        return _registered(called, (*own, *shared.values()), example, name, below)

    return register


def catalogue_command(example: str) -> Callable[[Reading], Callable[..., None]]:
    """Register a command that reads the Catalogue, and needs neither store nor event loop.

    Its function takes the Catalogue (None if there is none), the folder of it, and whether to print JSON. The shared
    options are its own.
    """
    shared = _shared(asks_upstream=False, asks_daemon=False)

    def register(function: Reading) -> Callable[..., None]:
        @wraps(function)
        def called(**options: Any) -> None:
            from syncd.cli.reading import read_catalogue

            json, secrets = options["json"], of_environment(os.environ)
            install(secrets)
            try:
                code = read_catalogue(function, options, os.environ, secrets)
            except SyncdError as error:
                code = _failed(error, json=json, secrets=secrets)
            raise typer.Exit(code)

        return _registered(called, tuple(shared.values()), example)

    return register


def _shared(*, asks_upstream: bool, asks_daemon: bool) -> dict[str, Parameter]:
    options = signature(shared_options).parameters
    unwanted = {"allow_private"} if not asks_upstream else set()
    wanted = {name: option for name, option in options.items() if name not in unwanted}
    return wanted | (dict(signature(_daemon_option).parameters) if asks_daemon else {})


def _daemon_option(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Ask the daemon at this address, with the token in $SYNCD_TOKEN. [SYNCD_URL] Otherwise the daemon "
            "that holds the state folder is asked; if none does, the command works by itself.",
        ),
    ] = None,
) -> None: ...


def _registered(
    called: Callable[..., None],
    options: tuple[Parameter, ...],
    example: str,
    name: str | None = None,
    below: typer.Typer = app,
) -> Callable[..., None]:
    parameters = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in options]
    # what typer reads
    called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # a function has one where it is set
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return below.command(name, cls=_Command, epilog=f"Example: {example}")(called)


def plain_command(
    example: str, *, name: str | None = None, below: typer.Typer = app
) -> Callable[[Callable[..., int]], Callable[..., None]]:
    """Register a synchronous command that needs no configuration; `below` a group of commands."""

    def register(function: Callable[..., int]) -> Callable[..., None]:
        @wraps(function)
        def called(*, json: bool, **given: Any) -> None:
            enable_after_imports()
            try:
                code = function(**given, json=json)
            except SyncdError as error:
                code = _failed(error, json=json, secrets=of_environment(os.environ))
            raise typer.Exit(code)

        return below.command(name, cls=_Command, epilog=f"Example: {example}")(called)

    return register


def group(name: str, text: str, example: str) -> typer.Typer:
    """Return a group of commands, registered below `syncd`."""
    commands = typer.Typer(cls=_Group, help=text, no_args_is_help=True)
    app.add_typer(commands, name=name, epilog=f"Example: {example}")
    return commands


async def _begin(work: Work) -> int:
    """Run a command; when it waits for the first time, it has imported its dependencies."""
    from asyncio import get_running_loop

    get_running_loop().call_soon(enable_after_imports)
    return await work


def _run(work: Callable[[], Work], *, json: bool, secrets: Secrets) -> None:
    """Run a command to its exit code; an expected failure prints one sentence."""
    from syncd.process import INTERRUPTED, run

    try:
        code = run(work)
    except SyncdError as error:
        code = _failed(error, json=json, secrets=secrets)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def _failed(error: SyncdError, *, json: bool, secrets: Secrets) -> int:
    """Print an error, and return its exit code."""
    from syncd.cli.output import print_error
    from syncd.process import code_of

    print_error(error, json=json, secrets=secrets)
    return code_of(error)


def _report_config(file: Path, *, json: bool) -> None:
    from syncd.cli.output import print_config

    print_config(file, json=json)
