"""`syncd token`: what it prints is what lets somebody in."""

import asyncio

import msgspec
import pytest
from typer.testing import CliRunner

from syncd.api.auth.tokens import Tokens
from syncd.cli.app import app
from syncd.config.load import load_config


def make(*words, typed="", wanted=0):
    ended = CliRunner().invoke(app, ["token", *words], input=typed)
    assert ended.exit_code == wanted, ended.output
    return ended


async def who(line, token, tmp_path):
    file = tmp_path / "syncd.yaml"
    file.write_text(f"tokens:\n{line}\n")
    config = await asyncio.to_thread(load_config, file, environ={})
    found = await Tokens(config.tokens, clock=lambda: 0.0, slowness=0.0).authenticate(token, "::1")
    return found.name, found.role


async def test_the_line_it_prints_lets_its_token_in(tmp_path):
    first, _, line = make("anna", "--role", "operator").stdout.splitlines()
    token = first.rpartition(" ")[2]
    assert token not in line
    assert await who(line, token, tmp_path) == ("anna", "operator")


async def test_a_chosen_token_is_hashed_and_not_printed(tmp_path):
    out = make("bob", "--chosen", typed="correct horse battery\n").stdout
    assert "correct horse" not in out
    assert await who(out.splitlines()[-1], "correct horse battery", tmp_path) == ("bob", "reader")


def test_for_programs():
    told = msgspec.json.decode(make("anna", "--json").stdout)
    assert told["entry"]["name"] == "anna"
    assert len(told["entry"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "role", "said"), [("a b", "reader", "NAME"), ("a", "root", "ROLE"), ("", "reader", "NAME")]
)
def test_what_cannot_be_a_token_is_told(name, role, said):
    told = make(name, "--role", role, wanted=2)
    assert said in told.stderr
    assert told.stdout == ""


def test_a_short_token_is_refused():
    assert "shorter than 12 characters" in make("a", "--chosen", typed="short\n", wanted=2).stderr
