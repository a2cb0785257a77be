"""Ceph's S3 gateway on loopback, in memory: a monitor, a manager, one disk and the gateway, from Debian's packages."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

from tests.servers.started import free_ports, start

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph-mgr", "radosgw", "radosgw-admin", "ceph", "monmaptool")
ACCESS_KEY, SECRET_KEY = "AKSYNCD", "SKSYNCDSECRET"

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
mon warn on pool no redundancy = false
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
run dir = {work}
admin socket = {work}/$name.asok
pid file = {work}/$name.pid
log file = {work}/$name.log
keyring = {work}/keyring
[mon]
mon data = {work}/mon
[osd]
osd data = {work}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd max object name len = 2048
[mgr]
mgr data = {work}/mgr
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls} ssl_certificate={certificate}
rgw data = {work}/rgw
rgw thread pool size = 32
"""


def is_installed():
    return all(shutil.which(program) for program in PROGRAMS)


class Rgw:
    """A whole cluster of one machine; answers over http and, with `certificate` (PEM with its key), over https."""

    access_key, secret_key = ACCESS_KEY, SECRET_KEY

    def __init__(self, work: Path, certificate: Path):
        self.work, self.processes = work, []
        port, tls, mon = free_ports(3)
        for folder in ("mon", "osd", "mgr", "rgw"):
            (work / folder).mkdir(parents=True)
        (work / "keyring").touch()
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        text = CONFIGURATION.format(fsid=fsid, mon=mon, port=port, tls=tls, work=work, certificate=certificate)
        (work / "ceph.conf").write_text(text)
        self.endpoint, self.tls_endpoint = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls}"
        self.environ = {**os.environ, "CEPH_CONF": str(work / "ceph.conf")}
        try:
            monmap = work / "monmap"
            self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon}]", monmap)
            self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
            self._start("ceph-mon", "-f", "-i", "a")
            self._ask("osd", "new", disk)
            self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
            # A disk that first asks for configuration forgets the cluster's fsid, and may give its command before it hears
            # it again; the monitor then answers "wrong fsid" and the disk ends. Without the asking it reads ceph.conf.
            self._start("ceph-osd", "-f", "-i", "0", "--no-mon-config")
            self._start("ceph-mgr", "-f", "-i", "x")
            self._until(lambda: json.loads(self._ask("osd", "stat", "-f", "json"))["num_up_osds"] == 1)
            self._start("radosgw", "-f", "-n", "client.rgw")
            keys = ("--access-key", ACCESS_KEY, "--secret", SECRET_KEY)
            user = ("user", "create", "--uid", "syncd", "--display-name", "syncd", *keys)
            self._run("radosgw-admin", "-n", "client.rgw", *user)
            self._until(lambda: self._answers(port))
        except BaseException:
            self.close()
            raise

    def _run(self, *command):
        done = subprocess.run(command, env=self.environ, capture_output=True, timeout=240, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()[-2000:]}"
        return done.stdout

    def _ask(self, *command):
        """Ask the monitor, again where the question was faster than the fsid (EPERM; the tool cannot do without asking)."""
        attempts_left = 20
        while True:
            try:
                return self._run("ceph", *command)
            except AssertionError as refused:
                attempts_left -= 1
                if not attempts_left or "EPERM" not in str(refused):
                    raise

    def _start(self, *command):
        log = (self.work / f"{command[0]}.out").open("wb")
        with log:
            started = start(command, env=self.environ, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(started)

    def _until(self, is_so):
        deadline = time.monotonic() + 500
        while not is_so():
            dead = [process.args[0] for process in self.processes if process.poll() is not None]
            assert not dead, f"{dead} ended: {(self.work / f'{dead[0]}.out').read_text()[-2000:]}"
            assert time.monotonic() < deadline, "Ceph did not come up"
            time.sleep(0.05)

    def _answers(self, port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def close(self):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own session: itself and nobody else
            process.wait(120)
