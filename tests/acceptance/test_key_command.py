"""`syncd key`: keys are made, shown, changed and revoked in files, and a secret half is never printed."""

import json
import stat
import subprocess

import pytest
from typer.testing import CliRunner

from manifests.minisign import PublicKey
from manifests.node_keys import TrustedKeys, follow_chain, parse_chain
from syncd.cli import app
from syncd.exchange import chain_path, parse_secret_key


def typed(*words, wanted=0):
    ended = CliRunner().invoke(app.app, ["key", *map(str, words)])
    assert ended.exit_code == wanted, ended.output
    return ended.output


@pytest.fixture
def made(tmp_path):
    file = tmp_path / "node.key"
    found = json.loads(typed("new", "--out", file, "--json"))
    return file, found["public"]


def test_a_new_key_is_its_owners_alone_and_only_its_public_half_is_printed(tmp_path):
    file = tmp_path / "node.key"
    told = typed("new", "--out", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = parse_secret_key(file.read_text())
    assert secret.public.text in told
    assert secret.seed.hex() not in told
    assert file.read_text().splitlines()[1] not in told
    assert repr(secret) == f"<SecretKey {secret.public.name}>"
    assert typed("show", file).split()[-1] == secret.public.text


def test_a_key_is_never_overwritten(made):
    file, _ = made
    before = file.read_bytes()
    assert "never overwritten" in typed("new", "--out", file, wanted=2)
    assert file.read_bytes() == before


def test_minisign_signs_with_our_keys_and_we_read_those_of_minisign(tmp_path):
    word, file, content = tmp_path / "word", tmp_path / "node.key", tmp_path / "content"
    word.write_text("open sesame\n")
    word.chmod(0o600)
    content.write_text("content")
    public = json.loads(typed("new", "--out", file, "--passphrase-file", word, "--json"))["public"]
    subprocess.run(
        ["minisign", "-S", "-s", file, "-m", content], input=b"open sesame\n", check=True, capture_output=True
    )
    subprocess.run(["minisign", "-V", "-P", public, "-m", content], check=True, capture_output=True)
    assert "passphrase" in typed("show", file, wanted=2)
    theirs, theirs_public = tmp_path / "theirs", tmp_path / "theirs.pub"
    subprocess.run(["minisign", "-G", "-W", "-s", theirs, "-p", theirs_public], check=True, capture_output=True)
    assert PublicKey.parse(theirs_public.read_text().splitlines()[1]).text in typed("show", theirs)


def test_a_key_that_is_changed_is_followed_from_the_old_one(made, tmp_path):
    file, public = made
    newer = tmp_path / "node-2.key"
    second = json.loads(typed("rotate", file, "--out", newer, "--node", "cn-one", "--json"))["public"]
    chain = parse_chain(chain_path(newer).read_bytes())
    trusted = follow_chain(chain, TrustedKeys((public,)), 0.0)
    assert (trusted.keys, trusted.version) == ((second,), 2)
    third = tmp_path / "node-3.key"
    last = json.loads(typed("rotate", newer, "--out", third, "--node", "cn-one", "--json"))["public"]
    longer = parse_chain(chain_path(third).read_bytes())
    assert follow_chain(longer, trusted, 0.0).keys == (last,)
    assert follow_chain(longer, TrustedKeys((second,)), 0.0).version == 3


def test_a_set_that_asks_for_two_keys_is_followed_by_one_that_both_signed(made, tmp_path):
    file, public = made
    offline, newer, third = (tmp_path / f"{name}.key" for name in ("offline", "node-2", "node-3"))
    spare = json.loads(typed("new", "--out", offline, "--json"))["public"]
    both = ("--also", spare, "--threshold", "2", "--node", "cn-one")
    typed("rotate", file, "--out", newer, *both, "--key", offline)
    with pytest.raises(AssertionError, match="it needs 2 of the keys so far"):
        typed("rotate", newer, "--out", third, *both)
    last = json.loads(typed("rotate", newer, "--out", third, *both, "--key", offline, "--json"))["public"]
    trusted = follow_chain(parse_chain(chain_path(third).read_bytes()), TrustedKeys((public,)), 0.0)
    assert (trusted.keys, trusted.version, trusted.threshold) == ((last, spare), 3, 2)


def test_a_compromised_key_is_revoked_by_another_of_the_node(made, tmp_path):
    offline, kept = tmp_path / "offline.key", tmp_path / "node-2.key"
    spare = json.loads(typed("new", "--out", offline, "--json"))["public"]
    file, _ = made
    online = tmp_path / "online.key"
    stolen = json.loads(typed("rotate", file, "--out", online, "--node", "n", "--also", spare, "--json"))["public"]
    typed("new", "--out", kept)
    chain = chain_path(online)
    told = json.loads(
        typed("revoke", stolen, "--key", offline, "--keep", kept, "--node", "n", "--chain", chain, "--json")
    )
    longer = parse_chain(chain_path(kept).read_bytes())
    trusted = follow_chain(longer, TrustedKeys((stolen,)), 0.0)
    assert trusted.keys == (told["public"], spare)
    assert "none of the node's published keys" in typed(
        "revoke", stolen, "--key", offline, "--keep", kept, "--node", "n", wanted=2
    )


def test_a_stranger_cannot_make_the_next_set(made, tmp_path):
    file, _ = made
    newer, strange = tmp_path / "node-2.key", tmp_path / "strange.key"
    typed("rotate", file, "--out", newer, "--node", "n")
    typed("new", "--out", strange)
    chain_path(strange).write_bytes(chain_path(newer).read_bytes())
    told = typed("rotate", strange, "--out", tmp_path / "x", "--node", "n", wanted=2)
    assert "not signed by those before it" in told
    assert not (tmp_path / "x").exists()
