"""Secrets leave the process only to the origin they are for: real runs, every carrier, and all that was written searched.

The upstream is real and hostile: it echoes what it was sent wherever a server can put a word, and redirects to signed urls.
"""

import base64
import hashlib
import json
import os
import pty
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.acceptance.cli import SYNCD
from tests.servers.started import free_port

MARK = "SWORDFISH"  # in every planted secret
CARRIERS = ("basic", "bearer", "header", "netrc")
GOOD = b"good bytes\n"
PATHS = ("good", "moved", "wrong", "denied", "circle", "userinfo", "broken")


def secret(name):
    return f"{MARK}/{name}+1=="


class Upstream(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.other = None
        self.heard = set()
        self.held = None  # (arrived, may go on)

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server, path = self.server, urlsplit(self.path).path
        said = " ".join(self.headers.get(name, "") for name in ("Authorization", "X-Api-Key"))
        server.heard.add(said.strip())
        if server.held is not None and path.endswith("/SHA256SUMS"):
            arrived, go_on = server.held
            arrived.set()
            go_on.wait(120)
        name = path.rpartition("/")[2].removesuffix(".txt")
        signed = f"{path}?X-Amz-Signature={secret('signature')}&token={secret('token')}&X-Amz-Security-Token={secret('session')}"
        match name:
            case "SHA256SUMS":
                sums = "".join(f"{hashlib.sha256(GOOD).hexdigest()}  {path}.txt\n" for path in PATHS)
                self.answer(200, sums.encode(), said)
            case "circle":
                self.answer(302, b"", said, Location=f"{server.origin}{signed}")
            case "userinfo":
                self.answer(302, b"", said, Location=f"http://me:{secret('userinfo')}@127.0.0.1:{server.server_port}/x")
            case "moved" | "wrong" if server.other is not None:
                self.answer(302, b"", said, Location=f"{server.other}{signed}")
            case "wrong":
                self.answer(200, b"wrong byte\n", said)
            case "good" | "moved":
                self.answer(200, GOOD, said)
            case "broken":
                self.answer(418, b"", said)
            case _:  # S3 comes here, too
                message = f"<Error><Code>SignatureDoesNotMatch</Code><Message>you sent {said}</Message></Error>"
                self.answer(403, message.encode(), said)

    def answer(self, status, body, said, **more):
        self.send_response(status, f"you sent {said}")
        for name, value in {
            "Content-Length": str(len(body)),
            "Set-Cookie": f"session={secret('cookie')}; Path=/",
            "X-Echo": said,
            "WWW-Authenticate": f'Basic realm="{said}"',
            "Server": f"echo {said}" if "Basic" in said or "Bearer" in said else "echo",
            **more,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving():
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def private(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)


@pytest.fixture
def planted(tmp_path):
    """A configuration whose credentials come from every carrier there is, and an upstream that wants them."""
    with serving() as upstream, serving() as other:
        upstream.other = other.origin
        hidden = tmp_path / "hidden"
        private(hidden / "password", secret("basic"))
        private(hidden / "run" / "api-key", secret("header"))
        private(hidden / "run" / "s3", secret("s3"))
        private(hidden / "netrc", f"machine 127.0.0.1 login me password {secret('netrc')}\n")
        kinds = {
            "basic": "basic: {username: me, password: {file: hidden/password}}",
            "bearer": "bearer: {env: PORTAL_TOKEN}",
            "header": "header: {name: X-Api-Key, value: {systemd: api-key}}",
            "netrc": "netrc: hidden/netrc",
        }
        lines = [f'  {name}: {{origin: "{upstream.origin}", {kind}}}' for name, kind in kinds.items()]
        lines.append(
            '  s3: {origin: "s3://bucket", s3: {access_key_id: AK, secret_access_key: {systemd: s3}, session_token: {env: S3_SESSION_TOKEN}}}'
        )
        allowed = json.dumps([upstream.origin, other.origin])
        config = tmp_path / "syncd.yaml"
        config.write_text(
            f"state: out/state\nstore: {{url: out/store}}\nallow_private: {allowed}\ncredentials:\n"
            + "\n".join(lines)
            + "\n"
        )
        manifests = []
        for name in CARRIERS:
            manifests.append(tmp_path / f"{name}.yaml")
            manifests[-1].write_text(
                f"mirror: {name}\nsource: {{url: '{upstream.origin}/{name}/', reader: checksums, checksums: [SHA256SUMS], credentials: {name}}}\nschedule: {{every: 1h}}\n"
            )
        bucket = tmp_path / "bucket.yaml"
        bucket.write_text(
            f"mirror: bucket\nsource: {{url: 's3://bucket/p/', endpoint: '{upstream.origin}', region: eu, credentials: s3}}\nschedule: {{every: 1h}}\n"
        )
        environ = {
            **os.environ,
            "PORTAL_TOKEN": secret("bearer"),
            "S3_SESSION_TOKEN": secret("s3-session"),
            "AWS_SECRET_ACCESS_KEY": secret("aws"),
            "CREDENTIALS_DIRECTORY": str(hidden / "run"),
            "HTTP_PROXY": f"http://me:{secret('proxy')}@127.0.0.1:1/",
            "NO_PROXY": "127.0.0.1",
        }
        yield upstream, other, config, [*manifests, bucket], environ


def forms():
    """Every form in which a planted secret may be written down."""
    pairs = [base64.b64encode(f"me:{secret(name)}".encode()).decode() for name in CARRIERS]
    return [form.encode() for form in (MARK, *pairs)]


def shown(content):
    return [form for form in forms() if form in content]


def run(environ, *words, wanted):
    done = subprocess.run([SYNCD, *map(str, words)], env=environ, capture_output=True, check=False, timeout=240)
    assert done.returncode in wanted, done.stderr.decode()
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.stdout + done.stderr


@pytest.mark.promise("P10")
def test_a_secret_is_in_nothing_that_is_said_or_kept(planted, tmp_path):
    upstream, other, config, manifests, environ = planted
    said = b""
    for words in (
        ("sync", *manifests),
        ("survey", manifests[0], "--json"),
        ("sync", *manifests[2:], "--json"),
        ("status", "--json"),
        ("verify", "basic", "--read-data"),
    ):
        said += run(environ, *words, "--config", config, wanted=(0, 1, 4))
    master, terminal = pty.openpty()  # with bars
    done = subprocess.Popen(
        [SYNCD, "sync", "--config", config, manifests[1]], env=environ, stdout=terminal, stderr=terminal, close_fds=True
    )
    os.close(terminal)
    while chunk := read_some(master):
        said += chunk
    done.wait(200)
    os.close(master)

    # it travelled: each secret reached its origin, and none the other
    for name in CARRIERS:
        pair = base64.b64encode(f"me:{secret(name)}".encode()).decode()
        assert {f"Basic {pair}", f"Bearer {secret(name)}", secret(name)} & upstream.heard, name
    assert any(heard.startswith("AWS4-HMAC-SHA256 ") for heard in upstream.heard)
    assert other.heard == {""}
    # the search finds what is there
    assert shown((tmp_path / "hidden" / "netrc").read_bytes())

    # what failed is told ...
    for word in (b"wrong.txt", b"denied.txt", b"circle.txt", b"userinfo.txt", b"broken.txt", b"s3://bucket"):
        assert word in said
    assert not shown(said), said[said.index(MARK.encode()) - 300 :][:400].decode()
    # ... and kept: reasons beside quarantined bytes, failures in the Catalogue, snapshots and their origins
    kept = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert any(file.name.endswith(".reason.json") for file in kept)
    assert any(file.name.startswith("catalogue") for file in kept)
    assert {file.name: shown(content) for file, content in kept.items() if shown(content)} == {}
    assert not [file for file in kept if any(form.decode() in str(file) for form in forms())]


def read_some(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # the other end was closed
        return b""


@pytest.mark.promise("P10")
def test_a_secret_is_in_nothing_that_the_daemon_says_or_keeps(planted, tmp_path):
    _, other, config, manifests, environ = planted
    token, wrong = secret("api-token"), secret("wrong-token")
    hashed, port = hashlib.sha256(token.encode()).hexdigest(), free_port()
    text = config.read_text().replace("state: out/state", "state: out/daemon").replace("out/store", "out/mirrors")
    config.write_text(
        f"manifests: {json.dumps([str(file) for file in manifests])}\nlisten: 127.0.0.1:{port}\n"
        f"log: {{level: debug, format: json}}\napi: {{read: token}}\n"
        f"tokens: [{{name: anna, role: operator, sha256: {hashed}}}]\n{text}"
    )
    said = b""

    def ask(path, *, bearer=token, method="GET"):
        request = Request(
            f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {bearer}"}, method=method
        )
        try:
            with urlopen(request, timeout=120) as answer:
                return answer.status, answer.read() + str(answer.headers).encode()
        except HTTPError as error:
            return error.code, error.read() + str(error.headers).encode()
        except URLError:
            return 0, b""

    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen([SYNCD, "run", "--config", config], env=environ, stdout=log, stderr=log)
    try:
        ended = {}
        deadline = time.monotonic() + 200
        while len(ended) < len(manifests):
            assert daemon.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            lines = (tmp_path / "log").read_text().splitlines()
            for line in map(json.loads, lines):
                if line["event"] in ("pass_finished", "pass_failed"):
                    ended[line["mirror"]] = line["event"]
            time.sleep(0.05)
        assert ask("/api/v1/mirrors", bearer=wrong)[0] == 401
        for path in ("/metrics", "/", "/api/v1/mirrors", "/api/v1/mirrors/basic", "/api/v1/mirrors/basic/passes"):
            status, answer = ask(path)
            assert status == 200, (path, status)
            said += answer
        assert ask("/api/v1/mirrors/basic/sync", method="POST")[0] in (200, 202)
        said += Path(f"/proc/{daemon.pid}/cmdline").read_bytes()
    finally:
        daemon.terminate()
        assert daemon.wait(200) == 0
    assert ended == {**dict.fromkeys(CARRIERS, "pass_finished"), "bucket": "pass_failed"}
    said += (tmp_path / "log").read_bytes()
    for word in (b"wrong.txt", b"denied.txt", b"userinfo.txt", b"syncd_mirror_state"):
        assert word in said
    assert not shown(said), said[said.index(MARK.encode()) - 300 :][:400].decode()
    kept = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert any(file.name.startswith("catalogue") for file in kept)
    assert {file.name: shown(content) for file, content in kept.items() if shown(content)} == {}
    assert other.heard == {""}


@pytest.mark.promise("P10")
def test_a_secret_is_in_no_command_line(planted):
    upstream, _, config, manifests, environ = planted
    upstream.held = threading.Event(), threading.Event()
    process = subprocess.Popen(
        [SYNCD, "sync", "--config", config, manifests[0]],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert upstream.held[0].wait(200)  # it has read its secret by now: this request carries it
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        upstream.held[1].set()
        process.wait(200)
    assert b"sync" in line
    assert not shown(line)


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--store", f"s3://me:{secret('url')}@bucket/"),
        ("status", "--store", "s3://bucket/", "--endpoint", f"https://me:{secret('url')}@h/"),
        ("sync", "--allow-private", f"https://me:{secret('url')}@h", "none.yaml"),
    ],
)
def test_a_secret_in_an_address_is_refused_unseen(words):
    assert not shown(run(dict(os.environ), *words, wanted=(2,)))


def test_a_secret_in_a_manifest_is_refused_unseen(tmp_path):
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        f"mirror: m\nsource: {{url: 'https://me:{secret('url')}@h/', credentials: '{secret('name')}'}}\n"
    )
    for json_or_not in ((), ("--json",)):
        assert not shown(run(dict(os.environ), "check", manifest, *json_or_not, wanted=(2,)))


@pytest.mark.promise("P10")
def test_a_traceback_of_a_bug_shows_the_bug_and_no_secret():
    program = (
        "import sys, logging\n"
        "from syncd.cli.main import main\n"
        "from syncd.cli.context import CommandContext\n"
        "def open_session(context, *_, **__):\n"
        "    context.secrets.learn('battery-staple')\n"
        f"    logging.getLogger('library').warning('sent %s', 'Bearer {secret('log')}')\n"
        f"    raise RuntimeError('a bug: battery-staple, {secret('env')}, https://me:{secret('url')}@h/?sig={secret('sig')} \\x1b[2J')\n"
        "CommandContext.open_mirror = open_session\n"
        "sys.argv[1:] = ['approve', 'm']\n"
        "main()\n"
    )
    environ = {**os.environ, "PORTAL_TOKEN": secret("env")}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, check=False, timeout=240)
    assert done.returncode == 1
    assert b"RuntimeError: a bug: ***, ***, https://***@h/?sig=***" in done.stderr
    assert b"sent" in done.stderr
    assert b"battery-staple" not in done.stderr.split(b"a bug")[1]
    assert not shown(done.stderr.replace(b"<string>", b""))
    assert b"\x1b[2J" not in done.stderr
