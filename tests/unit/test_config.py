"""syncd.yaml: what outranks what, where secrets are, and that none is ever shown."""

import json
import os
from pathlib import Path

import pytest

from syncd.config.load import Config, load_config, normalise_origin, resolve_credential
from syncd.core.errors import ConfigError

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-must-not-be-seen"
WHOLE = """\
state: ./state
store: {url: ./store}
manifests: [./manifests.d]
listen: 127.0.0.1:8750
allow_private: ["http://127.0.0.1:8080"]
credentials:
  physionet: {origin: "https://physionet.org", basic: {username: me, password: {file: /run/secrets/physionet}}}
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        file = tmp_path / "syncd.yaml"
        file.write_text(text, "utf-8")
        return file

    return write


def told(file):
    with pytest.raises(ConfigError) as refused:
        load_config(file, environ={})
    return str(refused.value)


def credential(origin, keys):
    return f'credentials: {{c: {{origin: "{origin}", {keys}}}}}\n'


def private(path, text=SECRET + "\n", mode=0o600):
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def test_a_whole_file_is_read_and_its_paths_are_relative_to_it(written, tmp_path):
    config = load_config(written(WHOLE), environ={})
    assert config.state == tmp_path / "state"
    assert config.store.url == str(tmp_path / "store")
    assert config.manifests == (tmp_path / "manifests.d",)
    assert config.allow_private == {"http://127.0.0.1:8080"}
    assert config.credentials["physionet"].origin == "https://physionet.org"


def test_nothing_need_be_said():
    config = load_config(None, environ={})
    assert (config.state, config.store.url, config.listen) == (Path("state"), "./store", "127.0.0.1:8750")


def test_the_command_line_outranks_the_environment_and_that_the_file(written):
    file = written("state: a\nstore: {url: 's3://file/', endpoint: 'https://file', region: eu}\n")
    environ = {"SYNCD_STATE": "b", "SYNCD_STORE": "s3://env", "SYNCD_ENDPOINT": "https://env"}
    config = load_config(file, environ=environ)
    assert (config.state, config.store.url, config.store.endpoint) == (Path("b"), "s3://env/", "https://env")
    config = load_config(file, store="s3://cli", endpoint="https://cli:443/", state=Path("c"), environ=environ)
    assert (config.state, config.store.url, config.store.endpoint) == (Path("c"), "s3://cli/", "https://cli")
    assert config.store.region == "eu"
    assert load_config(file, environ={"SYNCD_STORE": ""}).store.url == "s3://file/"


def test_a_folder_takes_no_server_along(written):
    file = written("store: {url: 's3://file/', endpoint: 'https://file', region: eu}\n")
    settings = load_config(file, store="./here", environ={"SYNCD_ENDPOINT": "https://env"}).store
    assert (settings.url, settings.endpoint, settings.region) == ("./here", None, None)
    with pytest.raises(ConfigError, match="--endpoint"):
        load_config(None, endpoint="https://cli", environ={})


@pytest.mark.parametrize(
    "more",
    [
        {"store": "https://h/"}, {"store": ""}, {"store": "s3://u:p@b/"}, {"store": "s3://b", "endpoint": "h"},
        {"allow_private": ["h:80"]}, {"allow_private": ["http://h/x"]},
        {"environ": {"SYNCD_STORE": "s3://b", "SYNCD_ENDPOINT": "ftp://x"}},
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused(more):
    with pytest.raises(ConfigError, match=r"SYNCD|--"):
        load_config(None, **{"environ": {}, **more})


def test_a_file_url_is_a_folder():
    assert load_config(None, store="file:///srv/my%20mirrors", environ={}).store.url == "/srv/my mirrors/"


def test_options_allow_more_origins_than_the_file(written):
    config = load_config(written(WHOLE), allow_private=["HTTPS://Lab.example:443/"], environ={})
    assert config.allow_private == {"http://127.0.0.1:8080", "https://lab.example"}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://h", "https://h"), ("HTTPS://H:443/", "https://h"), ("http://h:80", "http://h"),
        ("http://h:8080", "http://h:8080"), ("http://[::1]:80", "http://[::1]"), ("s3://Bucket", "s3://Bucket"),
        ("https://h.", "https://h"),
    ],
)  # fmt: skip
def test_an_origin_has_one_form(url, origin):
    assert normalise_origin(url) == origin == normalise_origin(origin)


@pytest.mark.parametrize(
    "url", ["h", "https://", "https://h/x", "https://u@h", "https://h:x", "gopher://h", "https://h/?q", ""]
)
def test_what_is_no_origin_is_refused(url):
    with pytest.raises(ValueError):
        normalise_origin(url)


def test_every_mistake_of_a_file_is_told_at_once_at_its_place(written):
    file = written(
        "stat: x\n"
        "store: {url: ./store, endpoint: 'https://x'}\n"
        "listen: foo\n"
        "allow_private: ['http://127.0.0.1:8080/x']\n"
        "credentials:\n"
        "  a: {origin: 'https://h'}\n"
        "  b: {origin: 'https://h', bearer: {fil: x}}\n"
    )
    assert [line.removeprefix(f"{file}:").split(": ")[:2] for line in told(file).splitlines()] == [
        ["1:1", "stat"],
        ["2:33", "store.endpoint"],
        ["3:9", "listen"],
        ["4:17", "allow_private[0]"],
        ["6:6", "credentials.a"],
        ["7:36", "credentials.b.bearer"],
        ["7:37", "credentials.b.bearer.fil"],
    ]


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path):
    assert (
        told(tmp_path / "none.yaml")
        == f"{tmp_path}/none.yaml: cannot be read: No such file or directory: give the path of a syncd.yaml"
    )


@pytest.mark.parametrize(
    "keys",
    [
        f"basic: {{username: me, password: {SECRET}}}",
        f"basic: {SECRET}",
        f"bearer: {SECRET}",
        f"bearer: [{SECRET}]",
        f"bearer: {{env: '{SECRET}'}}",
        f"bearer: {{file: x, literal: {SECRET}}}",
        f"header: {{name: X-Key, value: {SECRET}}}",
        f"header: {{name: 'X {SECRET}', value: {{env: X}}}}",
        f"basic: {{username: me, password: !{SECRET} x}}",
        f"basic: {{username: me, password: *{SECRET}}}",
        f"basic: {{username: me, password: &{SECRET} x}}",
        f"basic: {{username: me, password: @{SECRET}}}",
        f"basic: {{username: me, password: '{SECRET}}}",
        f"s3: {{access_key_id: A, secret_access_key: {SECRET}}}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(written, keys):
    assert SECRET not in told(written(credential("https://h", keys))).replace("credentials.c", "")


def test_a_literal_is_refused_with_what_to_do(written):
    assert "a secret is not allowed here: put it into a file of its own" in told(
        written(credential("https://h", "bearer: x"))
    )


@pytest.mark.parametrize(
    ("origin", "keys", "where"),
    [
        ("https://h", "netrc: n, bearer: {env: X}", "c.netrc"),
        ("https://h", "s3: {access_key_id: A, secret_access_key: {env: X}}", "c.s3"),
        ("s3://b", "bearer: {env: X}", "c.bearer"),
        ("https://h", "bearer: {env: X, file: y}", "c.bearer.env"),
        ("https://h", "bearer: {systemd: ../x}", "c.bearer.systemd"),
        ("https://h", "header: {name: Host, value: {env: X}}", "c.header.name"),
        ("https://h/path", "bearer: {env: X}", "c.origin"),
    ],
)
def test_a_credential_is_of_one_kind_for_one_origin(written, origin, keys, where):
    assert f": credentials.{where}: " in told(written(credential(origin, keys)))


def resolved(text, written, environ=None):
    return resolve_credential(load_config(written(text), environ={}), "c", environ or {})


def test_a_secret_comes_from_a_file_without_its_newline(written, tmp_path):
    private(tmp_path / "s", f"{SECRET}\r\n")
    found = resolved(credential("https://H:443", "basic: {username: me, password: {file: s}}"), written)
    assert (found.origin, found.scheme, found.username, found.secret) == ("https://h", "basic", "me", SECRET)
    assert SECRET not in repr(found)
    assert SECRET not in str(found)


def test_a_secret_comes_from_the_environment_or_from_systemd(written, tmp_path):
    text = credential("https://h", "bearer: {env: TOKEN}")
    assert resolved(text, written, {"TOKEN": SECRET}).secret == SECRET
    private(tmp_path / "token", mode=0o400)
    text = credential("https://h", "header: {name: X-Key, value: {systemd: token}}")
    found = resolved(text, written, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (found.scheme, found.header, found.secret) == ("header", "X-Key", SECRET)


def test_an_access_key_has_its_token(written):
    keys = "s3: {access_key_id: AK, secret_access_key: {env: K}, session_token: {env: T}}"
    found = resolved(credential("s3://bucket", keys), written, {"K": SECRET, "T": "t"})
    assert (found.origin, found.username, found.secret, found.token) == ("s3://bucket", "AK", SECRET, "t")


def test_a_netrc_gives_the_login_of_the_origins_host(written, tmp_path):
    private(tmp_path / "n", f"machine other login x password y\nmachine h login me password {SECRET}\n")
    found = resolved(credential("https://h:8443", "netrc: n"), written)
    assert (found.scheme, found.username, found.secret, found.origin) == ("basic", "me", SECRET, "https://h:8443")


def test_a_tilde_is_the_home_of_whom_we_are_told(written, tmp_path):
    private(tmp_path / ".netrc", f"machine h login me password {SECRET}\n")
    assert resolved(credential("https://h", "netrc: ~/.netrc"), written, {"HOME": str(tmp_path)}).secret == SECRET


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o666])
def test_a_secret_that_others_can_read_or_change_is_refused(written, tmp_path, mode):
    private(tmp_path / "s", mode=mode)
    for keys in ("bearer: {file: s}", "netrc: s"):
        with pytest.raises(ConfigError, match=f"mode 0{mode:o}.*chmod 600") as refused:
            resolved(credential("https://h", keys), written)
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_secret_that_only_owner_and_group_can_read_is_taken(written, tmp_path, mode):
    private(tmp_path / "s", mode=mode)
    assert resolved(credential("https://h", "bearer: {file: s}"), written).secret == SECRET


@pytest.mark.parametrize(
    "text", ["", "\n", f"{SECRET}\nX-Evil: 1\n", f"{SECRET}\r{SECRET}", f"{SECRET}\0", "x" * 70_000], ids=repr
)
def test_a_secret_that_is_no_single_line_is_refused_unseen(written, tmp_path, text):
    private(tmp_path / "s", text)
    with pytest.raises(ConfigError, match=r"credentials\.c\.bearer: ") as refused:
        resolved(credential("https://h", "bearer: {file: s}"), written)
    assert SECRET not in str(refused.value)


def test_what_goes_wrong_with_a_secret_is_told_unseen(written, tmp_path):
    private(tmp_path / "n", f"machine h login me pasword {SECRET}\n")
    (tmp_path / "b").write_bytes(SECRET.encode() + b"\xff")
    (tmp_path / "b").chmod(0o600)
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "p", 0o600)
    for keys, what in [
        ("bearer: {file: none}", "cannot be read"),
        ("bearer: {file: d}", "cannot be read"),
        ("bearer: {file: p}", "not a file"),
        ("bearer: {file: b}", "not UTF-8"),
        ("bearer: {env: NONE}", "NONE is not set"),
        ("bearer: {systemd: x}", "LoadCredential=x"),
        ("netrc: n", "line 1: not a netrc file"),
    ]:
        with pytest.raises(ConfigError, match=what) as refused:
            resolved(credential("https://h", keys), written)
        error: BaseException | None = refused.value
        while error is not None:
            assert SECRET not in str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    private(tmp_path / "n", "machine other login x password y\n")
    with pytest.raises(ConfigError, match="names no machine h"):
        resolved(credential("https://h", "netrc: n"), written)


def test_an_unknown_name_is_told_with_those_that_are_known(written):
    with pytest.raises(ConfigError, match="'x' is not in the configuration, known are c"):
        resolve_credential(load_config(written(credential("https://h", "bearer: {env: X}")), environ={}), "x", {})


def test_the_configuration_holds_no_secret(written, tmp_path):
    private(tmp_path / "s")
    config = load_config(written(credential("https://h", "bearer: {file: s}")), environ={"X": SECRET})
    resolve_credential(config, "c", {})
    assert SECRET not in repr(config) + str(config) + config.model_dump_json()
    assert isinstance(config, Config)


HASH = "0123456789abcdef" * 4


def test_who_is_answered_and_who_may_change_something(written):
    config = load_config(
        written(
            f'api: {{read: token, hosts: [Mirror.example.org], proxies: [127.0.0.1, "10.1.0.0/16"]}}\n'
            f'tokens:\n  - {{name: anna, role: operator, sha256: "{HASH}"}}\n'
            f'  - {{name: bob, scrypt: "{HASH[:32]}.{HASH}"}}\n'
        ),
        environ={},
    )
    assert (config.api.read, config.api.hosts) == ("token", frozenset({"mirror.example.org"}))
    assert config.api.proxies == ("127.0.0.1/32", "10.1.0.0/16")
    assert [(one.name, one.role) for one in config.tokens] == [("anna", "operator"), ("bob", "reader")]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("tokens: [{name: a, sha256: hunter2}]", "1:28: tokens[0].sha256: is not a sha256"),
        ("tokens: [{name: a, scrypt: hunter2}]", "1:28: tokens[0].scrypt: is not a salt and a hash"),
        ("tokens: [{name: a}]", "has neither sha256 nor scrypt"),
        (
            f'tokens: [{{name: a, sha256: "{HASH}", scrypt: "{HASH[:32]}.{HASH}"}}]',
            "scrypt: cannot be combined with sha256",
        ),
        (f'tokens: [{{name: a, role: root, sha256: "{HASH}"}}]', "tokens[0].role: is not an allowed value; allowed: "),
        (f'tokens: [{{name: a, sha256: "{HASH}"}}, {{name: a, sha256: "{HASH}"}}]', "tokens: names a twice"),
        ("api: {hosts: ['http://x.org']}", "api.hosts[0]: is not a host's name"),
        ("api: {proxies: [localhost]}", "api.proxies[0]: is not an IP address"),
        ("api: {read: yes}", "api.read"),
    ],
)
def test_a_wrong_token_or_host_is_told_at_its_place_and_never_shown(written, text, where):
    said = told(written(text + "\n"))
    assert where in said
    assert "hunter2" not in said


def test_the_example_passes():
    config = load_config(ROOT / "deploy" / "syncd.yaml", environ={})
    assert config.store.url == "/srv/mirrors"
    commented = (ROOT / "deploy" / "syncd.yaml").read_text("utf-8")
    assert all(f"{key}:" in commented for key in Config.model_fields)


def test_the_example_passes_with_what_is_commented_out(written):
    lines = (ROOT / "deploy" / "syncd.yaml").read_text("utf-8").splitlines()
    cut = lines.index("  # portal:")
    shown = [line.replace("# ", "", 1) for line in lines[cut:]]
    config = load_config(written("\n".join(lines[:cut] + shown) + "\n"), environ={})
    assert sorted(config.credentials) == [
        "beamline", "copernicus", "earthdata", "keyed", "landsat", "physionet", "portal",
    ]  # fmt: skip


def test_how_the_daemon_works_is_said_with_units_and_bounds(written):
    config = load_config(
        written(
            "budget: {memory: 1 GiB, passes: 4}\nscrub: {rate: 10 MB/s, mend: false}\nbackup: {keep: 0}\ngrace: 2m\n"
        ),
        environ={},
    )
    assert (config.budget.memory, config.budget.passes, config.budget.connections) == (1 << 30, 4, 256)
    assert (config.scrub.rate, config.scrub.mend, config.scrub.enabled) == (10_000_000, False, True)
    assert (config.backup.keep, config.grace, config.retention.audit) == (0, 120.0, 730 * 86_400)
    wrong = told(
        written("budget: {memory: 5, passes: 0}\nlog: {format: xml}\nretention: {audit: 5}\nscrub: {rates: 1 MB/s}\n")
    )
    for where in (
        "1:18: budget.memory",
        "1:29: budget.passes",
        "2:15: log.format",
        "3:20: retention.audit",
        "4:9: scrub.rates",
    ):
        assert where in wrong, wrong
    assert "512 MiB" in wrong
    assert "did you mean rate" in wrong


@pytest.mark.parametrize(
    ("credential", "where"),
    [
        ({"origin": "https://h", "oauth": {"token_url": "https://id/t", "client_id": "c"}}, "oauth"),
        ({"origin": "https://h", "oauth": {"token_url": "https://id/t", "client_id": "c", "username": "me"}}, "oauth"),
        (
            {
                "origin": "https://h",
                "oauth": {"token_url": "http://id/t", "client_id": "c", "client_secret": {"env": "X"}},
            },
            "oauth",
        ),
        (
            {"origin": "https://h", "oauth": {"token_url": "id/t", "client_id": "c", "client_secret": {"env": "X"}}},
            "oauth.token_url",
        ),
        ({"origin": "https://h", "login": {"at": "https://urs"}}, "login"),
        ({"origin": "https://h", "login": {"at": "https://urs", "netrc": "n", "username": "me"}}, "login.username"),
        ({"origin": "https://h", "login": {"at": "http://urs", "netrc": "n"}}, "login"),
        ({"origin": "https://h", "bearer": {"env": "X"}, "also": ["http://h2"]}, "also"),
        ({"origin": "sftp://h", "bearer": {"env": "X"}}, "bearer"),
        ({"origin": "https://h", "key": {"username": "me", "private_key": {"env": "X"}}}, "key"),
        ({"origin": "sftp://h", "key": {"username": "me", "private_key": "-----BEGIN"}}, "key.private_key"),
    ],
)
def test_credentials_of_archives_are_checked_at_their_place(tmp_path, credential, where):
    (tmp_path / "syncd.yaml").write_text(json.dumps({"credentials": {"a": credential}}))
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path / "syncd.yaml", environ={})
    assert f"credentials.a.{where}: " in str(refused.value)
    assert "BEGIN" not in str(refused.value)


def test_credentials_of_archives_are_read_with_all_that_they_need(tmp_path):
    (tmp_path / "netrc").write_text("machine urs.example.org login me password s3cret\n")
    (tmp_path / "netrc").chmod(0o600)
    given = {
        "edl": {"origin": "https://data.example.org", "login": {"at": "https://urs.example.org", "netrc": "netrc"}},
        "cdse": {
            "origin": "https://catalogue.example.org",
            "also": ["https://Download.example.org:443"],
            "oauth": {
                "token_url": "https://id.example.org/token", "client_id": "public", "username": "me",
                "password": {"env": "CDSE"},
            },
        },
        "beam": {
            "origin": "sftp://transfer.example.org",
            "key": {"username": "me", "private_key": {"env": "KEY"}, "passphrase": {"env": "OPENS"}},
        },
    }  # fmt: skip
    (tmp_path / "syncd.yaml").write_text(json.dumps({"credentials": given, "user_agent": "(ops@example.org)"}))
    config = load_config(tmp_path / "syncd.yaml", environ={})
    environ = {"CDSE": "s3cret", "KEY": "-----BEGIN\nline\n", "OPENS": "sesame"}
    edl, cdse, beam = (resolve_credential(config, name, environ) for name in ("edl", "cdse", "beam"))
    assert (edl.scheme, edl.username, edl.secret, edl.at) == ("login", "me", "s3cret", "https://urs.example.org")
    assert (cdse.scheme, cdse.at, cdse.client) == ("oauth", "https://id.example.org/token", "public")
    assert cdse.also == ("https://download.example.org",)
    assert (beam.scheme, beam.secret, beam.token) == ("key", "-----BEGIN\nline\n", "sesame")
    assert not any(secret in repr((edl, cdse, beam, config)) for secret in ("s3cret", "BEGIN", "sesame"))
    assert config.user_agent == "(ops@example.org)"
