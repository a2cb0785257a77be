"""OpenStack Swift with its S3 API on loopback: a real S3 server of pure Python, installed once into .cache/swift."""

import contextlib
import fcntl
import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.servers.started import free_ports, start

CACHE = Path(__file__).parents[2] / ".cache" / "swift"
ACCESS_KEY, SECRET_KEY = "test:tester", "testing"
MIN_PART = 1 << 20  # bytes; as few as that keep tests of many dialects short

# Its own patience, half a second to connect and three to answer, is too short for a machine with much to do.
SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
devices = {devices}
mount_check = false
recon_cache_path = {run}
log_level = ERROR
log_name = {kind}
conn_timeout = 60
node_timeout = 120
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
fallocate_reserve = 0
[{kind}-replicator]
[{kind}-updater]
[object-auditor]
"""
PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
log_level = ERROR
conn_timeout = 60
node_timeout = 120
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache s3api tempauth bulk slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
min_segment_size = {min_part}
allow_multipart_uploads = true
check_bucket_owner = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:symlink]
use = egg:swift#symlink
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""


def install() -> Path:
    """Return the folder of Swift's programs, installing them on first use; CalledProcessError if that cannot be."""
    programs = CACHE / "bin"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE.parent / "swift.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may begin at once
        if not (CACHE / "installed").exists():
            shutil.rmtree(CACHE)
            subprocess.run([sys.executable, "-m", "venv", CACHE], check=True, capture_output=True)
            subprocess.run([programs / "pip", "install", "-q", "swift"], check=True, capture_output=True)
            (CACHE / "installed").touch()
    return programs


class Swift:
    """Four servers: account, container, object and the proxy that speaks S3."""

    access_key, secret_key = ACCESS_KEY, SECRET_KEY

    def __init__(self, work: Path):
        programs = install()
        self.work, self.processes = work, {}
        self.programs, self.etc = programs, work / "etc"
        ports = dict(zip(("account", "container", "object", "proxy"), free_ports(4), strict=True))
        etc, run, devices = work / "etc", work / "run", work / "devices"
        for folder in (etc, run, devices / "d1"):
            folder.mkdir(parents=True)
        (etc / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n"
            "[swift-constraints]\nmax_object_name_length = 1024\n"
        )
        self.endpoint = f"http://127.0.0.1:{ports['proxy']}"
        names = {"user": getpass.getuser(), "etc": etc, "run": run, "devices": devices, "min_part": MIN_PART}
        for kind in ("account", "container", "object"):
            port = ports[kind]
            for order in (("create", "4", "1", "1"), ("add", f"r1z1-127.0.0.1:{port}/d1", "1"), ("rebalance",)):
                builder = [programs / "swift-ring-builder", f"{kind}.builder", *order]
                subprocess.run(builder, cwd=etc, check=False, capture_output=True)  # rebalance warns with status 1
            (etc / f"{kind}-server.conf").write_text(SERVER.format(kind=kind, port=port, **names))
        (etc / "proxy-server.conf").write_text(PROXY.format(port=ports["proxy"], **names))
        self.log = (work / "log").open("wb")
        for kind in ports:
            self._start(kind)
        self._wait()

    def die(self):
        """Kill what speaks S3: whoever is connected loses his connection, and nobody is let in."""
        self._kill(self.processes["proxy"])

    def rise(self):
        """Start it again, where it was."""
        self._start("proxy")
        self._wait()

    def _start(self, kind):
        command = [self.programs / f"swift-{kind}-server", self.etc / f"{kind}-server.conf"]
        environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
        self.processes[kind] = start(
            command, stdout=self.log, stderr=self.log, env=environ, start_new_session=True, cwd=self.work
        )

    def _wait(self):
        deadline = time.monotonic() + 400
        while True:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.endpoint}/healthcheck", timeout=5).close()
                return
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes.values()):
                raise AssertionError((self.work / "log").read_text()[-4000:])
            time.sleep(0.05)

    def close(self):
        for process in self.processes.values():
            self._kill(process)
        self.log.close()

    @staticmethod
    def _kill(process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session: itself and its workers, nobody else
        process.wait(120)
