"""Real proxies on loopback: Squid for HTTP, microsocks for SOCKS5; each with or without a login."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.servers.started import free_port, start

PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
LOGIN = ("me", "pa ss/w%rd")  # characters that urls and headers write in other ways
SQUID = """
http_port 127.0.0.1:{port}
visible_hostname proxy.example.org
pid_filename {work}/squid.pid
cache_log {work}/cache.log
access_log stdio:{work}/access.log
cache deny all
shutdown_lifetime 0 seconds
netdb_filename none
hosts_file {work}/hosts
pinger_enable off
workers 1
{login}
acl forbidden url_regex forbidden
http_access deny forbidden
http_access allow {who}
http_access deny all
"""
BASIC = """
auth_param basic program {helper} {work}/passwords
auth_param basic children 1 startup=1
acl known proxy_auth REQUIRED
"""


class Squid:
    """An HTTP proxy that writes down what it is asked for."""

    def __init__(self, *, login: bool = False):
        # it gives up the rights of root, and could not enter a folder of pytest
        self.port, self.work = free_port(), (work := Path(tempfile.mkdtemp(prefix="squid-")))
        work.chmod(0o777)
        self.name = f"test{self.port}"  # of its shared memory
        program = shutil.which("squid", path=PROGRAMS)
        assert program is not None, "squid is not installed (Debian: squid)"
        more = ""
        if login:
            helper = next(Path("/usr/lib").glob("squid*/basic_ncsa_auth"))
            digest = subprocess.run(
                ["openssl", "passwd", "-apr1", LOGIN[1]], capture_output=True, text=True, check=True
            ).stdout.strip()
            (work / "passwords").write_text(f"{LOGIN[0]}:{digest}\n")
            more = BASIC.format(helper=helper, work=work)
        (work / "hosts").write_text("127.0.0.1 upstream.test\n")  # a name that only the proxy knows
        (work / "squid.conf").write_text(
            SQUID.format(port=self.port, work=work, login=more, who="known" if login else "all")
        )
        self.process = start(
            [program, "-N", "-n", self.name, "-f", work / "squid.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.process, self.port, work / "cache.log")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def asked(self):
        """Return what was asked for: method, target and status of each request that has ended."""
        path = self.work / "access.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split()[5], line.split()[6], line.split()[3].partition("/")[2]) for line in lines]

    async def logged(self, method, target):
        """Return the requests once this one is among them: Squid writes a tunnel down a moment after it has ended."""
        deadline = time.monotonic() + 120
        while not any(asked[:2] == (method, target) for asked in self.asked()):
            assert time.monotonic() < deadline, f"{method} {target} is not in {self.asked()}"
            await asyncio.sleep(0.05)
        return self.asked()

    def close(self):
        stop(self.process)
        shutil.rmtree(self.work, ignore_errors=True)
        for left in Path("/dev/shm").glob(f"{self.name}-*"):
            left.unlink(missing_ok=True)


class Microsocks:
    """A SOCKS5 proxy."""

    def __init__(self, *, login: bool = False):
        self.port = free_port()
        program = shutil.which("microsocks", path=PROGRAMS)
        assert program is not None, "microsocks is not installed (Debian: microsocks)"
        words = ["-u", LOGIN[0], "-P", LOGIN[1]] if login else []
        self.process = start(
            [program, "-i", "127.0.0.1", "-p", str(self.port), *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.process, self.port, None)

    @property
    def url(self):
        return f"socks5://127.0.0.1:{self.port}"

    def close(self):
        stop(self.process)


def wait_for(process, port, log):
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(log.read_text() if log is not None and log.exists() else "the proxy did not start")
        time.sleep(0.02)


def stop(process):
    process.kill()  # they keep nothing
    process.wait()
