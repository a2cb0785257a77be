"""A real nginx on loopback, from a configuration in a temporary folder; counts the bytes it sends."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.servers.started import free_port, start

CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format syncd_usage
    'syncd-usage $upstream_http_x_syncd_ticket $status $body_bytes_sent $sent_http_content_range';
  log_format sent '$status $body_bytes_sent $request_uri';
  access_log {work}/access.log sent;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  sendfile on; keepalive_requests 1000000; autoindex on;
  server {{ listen 127.0.0.1:{port}; root {root}; {more} }}
}}
"""


class Nginx:
    def __init__(self, root: Path, work: Path, more: str = ""):
        self.port, self.work = free_port(), work
        work.mkdir(parents=True, exist_ok=True)
        (work / "nginx.conf").write_text(CONFIGURATION.format(work=work, port=self.port, root=root, more=more))
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
        assert program is not None, "nginx is not installed (Debian: nginx-light)"
        self.process = start([program, "-c", work / "nginx.conf", "-p", work], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((work / "error.log").read_text())
            time.sleep(0.02)

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def sent(self):
        """Bytes of bodies sent so far."""
        return sum(int(line.split()[1]) for line in (self.work / "access.log").read_text().splitlines())

    def answers(self):
        """How many requests were answered so far."""
        return (self.work / "access.log").read_bytes().count(b"\n")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


@contextlib.contextmanager
def nginx(root, work, more=""):
    server = Nginx(root, work, more)
    try:
        yield server
    finally:
        server.close()
