"""Starts the other side of the benchmark, each in processes of its own: nginx, the link, the S3 listing.

Every process started is ended by its own id when its block is left.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.archive import Archive
from tests.bench.wire import Shape
from tests.servers.tls import Authority

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds for a server to answer

NGINX = """
daemon off; user {user}; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 2048; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; keepalive_timeout 3600;
  default_type application/octet-stream; open_file_cache off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096{secure};
    root {files};
    autoindex on;
    location = /SHA256SUMS {{ alias {sums}; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server of ours: where it answers, and its process."""

    port: int
    process: subprocess.Popen[str]
    authority: Path | None = None  # of its certificate, if it serves over TLS

    @property
    def url(self) -> str:
        return f"{'http' if self.authority is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """Return what lets every contender trust the server."""
        return {} if self.authority is None else {"SSL_CERT_FILE": str(self.authority)}

    def ask(self) -> dict[str, int]:
        """Return the counters of a link or a listing."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counters: dict[str, int] = json.loads(self.process.stdout.readline())
        return counters


@contextmanager
def nginx(archive: Archive, folder: Path, *, is_secure: bool = False) -> Iterator[Serving]:
    """Serve `archive` with directory listings; `folder` holds what nginx writes."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    user = "root" if os.geteuid() == 0 else "nobody"
    conf = folder / "nginx.conf"
    known = Authority(folder) if is_secure else None
    secure = ""
    if known is not None:
        secure = f" ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {known.certificate}"
        secure += f"; ssl_certificate_key {known.certificate}"
    conf.write_text(
        NGINX.format(user=user, folder=folder, port=port, files=archive.files, sums=archive.sums, secure=secure)
    )
    process = subprocess.Popen(["nginx", "-e", str(folder / "error.log"), "-c", str(conf)], text=True)
    try:
        _await_port(port)
        yield Serving(port, process, known.root if known is not None else None)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def link(upstream: int, shape: Shape) -> Iterator[Serving]:
    """Put a link in front of a port of 127.0.0.1."""
    words = ["--upstream", f"127.0.0.1:{upstream}", "--rtt", str(shape.rtt), "--rate", str(shape.rate)]
    with _module("tests.bench.link", [*words, "--total", str(shape.total), "--cap", str(shape.cap)]) as serving:
        yield serving


@contextmanager
def listing(keys: int) -> Iterator[Serving]:
    """Serve ListObjectsV2 over `keys` synthetic keys of bucket `archive`."""
    with _module("tests.bench.s3_listing_server", ["--keys", str(keys)]) as serving:
        yield serving


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """Return what `process` and its children now alive have used, user and system."""
    ticks = 0
    family = {process.pid}
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(entry.name) in family or int(fields[1]) in family:
            family.add(int(entry.name))
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _module(name: str, words: list[str]) -> Iterator[Serving]:
    command = [sys.executable, "-m", name, *words]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if not first:
            raise SystemExit(f"{name}: ended before it served anything")
        yield Serving(json.loads(first)["port"], process)
    finally:
        process.terminate()
        process.communicate()


def _free_port() -> int:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port: int = plug.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise SystemExit(f"127.0.0.1:{port}: nothing answers after {PATIENCE} s") from None
            time.sleep(0.02)
        else:
            return
