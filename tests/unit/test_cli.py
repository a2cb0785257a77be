"""The command line says of itself what is so."""

import inspect
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from syncd.cli import app, registration

APP: Any = typer.main.get_command(app.app)
COMMANDS = APP.commands
SHARED = set(inspect.signature(registration.shared_options).parameters)


def options(name):
    return {parameter.name for parameter in COMMANDS[name].params}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(name):
    command = COMMANDS[name]
    assert command.help
    assert command.epilog.startswith(f"Example: syncd {name}")
    shown = CliRunner().invoke(app.app, [name, "--help"])
    assert shown.exit_code == 0
    assert command.help.split(".")[0] in " ".join(shown.output.split())


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if options(name) & {"store", "state"}))
def test_every_command_that_takes_one_of_the_shared_options_takes_all(name):
    assert SHARED - {"allow_private"} <= options(name)


def test_a_command_that_asks_upstream_can_be_allowed_a_private_origin():
    assert {name for name in COMMANDS if "allow_private" in options(name)} >= {"survey", "plan", "sync", "verify"}


def test_options_reach_the_configuration_and_what_is_wrong_with_them_is_one_sentence(tmp_path):
    wrong = CliRunner().invoke(app.app, ["status", "--config", str(tmp_path / "none.yaml")])
    assert wrong.exit_code == 2
    assert wrong.stderr.count("\n") == 1
    assert "give the path of a syncd.yaml" in wrong.stderr
    told = CliRunner().invoke(
        app.app, ["status", "--store", str(tmp_path / "store"), "--state", str(tmp_path / "state"), "--json"]
    )
    assert (told.exit_code, told.stdout) == (0, "[]\n")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_variable_that_names_no_proxy_is_told_without_its_password(name, monkeypatch, tmp_path):
    for proxy in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    (tmp_path / "m.yaml").write_text("mirror: m\nsource: {url: 'https://127.0.0.1:9/'}\n")
    monkeypatch.setenv(name, "https://me:SWORDFISH@proxy:3128/")
    words = ["sync", str(tmp_path / "m.yaml"), "--store", str(tmp_path / "store"), "--state", str(tmp_path / "state")]
    told = CliRunner().invoke(app.app, words)
    assert told.exit_code == 2
    assert f"{name}: is not the url of an HTTP or SOCKS5 proxy" in told.stderr
    assert "SWORDFISH" not in told.stderr
