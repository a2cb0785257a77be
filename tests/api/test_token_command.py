"""`syncd token`: what it prints is what lets somebody in."""

import asyncio
import io
import sys

import msgspec
import pytest

from syncd.api.auth.tokens import Tokens
from syncd.cli import token as token_command
from syncd.config.load import load_config


@pytest.fixture
def typed(monkeypatch):
    def type_in(text):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return type_in


async def who(line, token, tmp_path):
    file = tmp_path / "syncd.yaml"
    file.write_text(f"tokens:\n{line}\n")
    config = await asyncio.to_thread(load_config, file, environ={})
    found = await Tokens(config.tokens, clock=lambda: 0.0, slowness=0.0).authenticate(token, "::1")
    return found.name, found.role


async def test_the_line_it_prints_lets_its_token_in(tmp_path, capsys):
    assert token_command.token("anna", "operator", chosen=False, json=False) == 0
    first, _, line = capsys.readouterr().out.splitlines()
    token = first.rpartition(" ")[2]
    assert token not in line
    assert await who(line, token, tmp_path) == ("anna", "operator")


async def test_a_chosen_token_is_hashed_and_not_printed(tmp_path, capsys, typed):
    typed("correct horse battery\n")
    assert token_command.token("bob", "reader", chosen=True, json=False) == 0
    out = capsys.readouterr().out
    assert "correct horse" not in out
    assert await who(out.splitlines()[-1], "correct horse battery", tmp_path) == ("bob", "reader")


def test_for_programs(capsys):
    assert token_command.token("anna", "reader", chosen=False, json=True) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["entry"]["name"] == "anna"
    assert len(told["entry"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "role", "said"), [("a b", "reader", "NAME"), ("a", "root", "ROLE"), ("", "reader", "NAME")]
)
def test_what_cannot_be_a_token_is_told(capsys, name, role, said):
    assert token_command.token(name, role, chosen=False, json=False) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""


def test_a_short_token_is_refused(capsys, typed):
    typed("short\n")
    assert token_command.token("a", "reader", chosen=True, json=False) == 2
    assert "shorter than 12 characters" in capsys.readouterr().err
