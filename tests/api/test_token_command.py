"""`syncd token`: what it prints is what lets somebody in."""

import asyncio

import msgspec
import pytest
from typer.testing import CliRunner

from manifests.model import load_mirror
from syncd.api import AcceptedTerms
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


def test_a_partners_line_is_valid_and_has_everything_that_was_given(tmp_path):
    words = ["ihep", "--role", "partner", "--mirrors", "landsat-*,modis", "--institution", "Institute: of #1"]
    out = make(*words, "--country", "CN", "--rate", "50MB/s", "--until", "2027-12-31").stdout
    file = tmp_path / "syncd.yaml"
    file.write_text(f"tokens:\n{out.splitlines()[-1]}\n")
    (token,) = load_config(file, environ={}).tokens
    assert token.mirrors == ("landsat-*", "modis")
    assert (token.institution, token.country, token.rate) == ("Institute: of #1", "cn", 50_000_000)
    assert str(token.until) == "2027-12-31"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "--institution", "x"], "INSTITUTION"),
        (["a", "--mirrors", "A/b"], "MIRRORS"),
        (["a", "--role", "partner", "--country", "china"], "COUNTRY"),
        (["a", "--until", "tomorrow"], "UNTIL"),
        (["list", "x"], "syncd token list"),
        (["revoke"], "syncd token revoke NAME"),
    ],
)
def test_what_does_not_fit_a_token_is_told(words, said):
    assert said in make(*words, wanted=2).stderr


TWO = """\
# who may read
tokens:
  - {name: anna, role: operator, sha256: "%s"}  # the steward
  - name: uni
    role: partner
    mirrors: [landsat-*]
    sha256: "%s"
"""


@pytest.mark.parametrize("name", ["anna", "uni"])
def test_a_revoked_token_stays_in_the_file_marked_and_nothing_else_changes(tmp_path, name):
    file = tmp_path / "syncd.yaml"
    file.write_text(TWO % ("a" * 64, "b" * 64))
    file.chmod(0o640)
    make("revoke", name, "--config", str(file))
    config = load_config(file, environ={})
    assert [one.name for one in config.tokens if one.revoked is not None] == [name]
    assert "# the steward" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    text = file.read_text()
    make("revoke", name, "--config", str(file))
    assert file.read_text() == text
    told = make("list", "--config", str(file)).stdout
    assert [line.split()[2] for line in told.splitlines() if line.startswith(name)] == ["revoked"]
    assert "a" * 64 not in told
    assert "no such token" in make("revoke", "bob", "--config", str(file), wanted=2).stderr


def test_an_acceptance_is_of_the_terms_that_the_manifest_has_now(tmp_path):
    folder, file = tmp_path / "manifests.d", tmp_path / "syncd.yaml"
    folder.mkdir()
    (tmp_path / "state").mkdir()
    manifest = folder / "m.yaml"
    text = "mirror: m\nsource: {url: 'https://h/', reader: autoindex}\npublish: {access: registered, terms: {en: %s}}\n"
    manifest.write_text(text % "Cite us")
    file.write_text(f"manifests: [./manifests.d]\nstate: ./state\n{TWO % ('a' * 64, 'b' * 64)}")
    make("accept", "uni", "m", "--config", str(file))
    publish = load_mirror(text % "Cite us", "m").publish
    other = load_mirror(text % "Pay us", "m").publish
    assert AcceptedTerms(tmp_path / "state").versions("uni") == {publish.terms_version}
    assert other.terms_version != publish.terms_version
    assert "no such token" in make("accept", "bob", "m", "--config", str(file), wanted=2).stderr
    assert "publishes it with terms" in make("accept", "uni", "n", "--config", str(file), wanted=2).stderr
