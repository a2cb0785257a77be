"""A real sshd on loopback that offers nothing but SFTP, with keys of its own, run by whoever runs the tests."""

import contextlib
import getpass
import shutil
import signal
import socket
import time
from pathlib import Path

import asyncssh

from tests.servers.started import free_port, start

CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {work}/host
PidFile none
AuthorizedKeysFile {work}/authorized
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
UsePAM no
LogLevel VERBOSE
MaxStartups 100
MaxSessions 100
PerSourceMaxStartups none
Subsystem sftp internal-sftp
{more}
"""


class Sshd:
    def __init__(self, work: Path, more: str = ""):
        work.mkdir(parents=True, exist_ok=True)
        self.work = work
        self.username = getpass.getuser()
        host, user = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = host.export_public_key().decode().strip()
        self.fingerprint = host.get_fingerprint()
        self.private_key = user.export_private_key().decode()
        self._user = user
        (work / "host").write_bytes(host.export_private_key())
        (work / "host").chmod(0o600)
        (work / "authorized").write_bytes(user.export_public_key())
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin")
        assert program is not None, "sshd is not installed (Debian: openssh-server)"
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it for its privilege separation
        for attempts_left in (2, 1, 0):
            self.port = free_port()
            (work / "sshd_config").write_text(CONFIGURATION.format(port=self.port, work=work, more=more))
            with (work / "log").open("wb") as log:
                self.process = start([program, "-D", "-e", "-f", work / "sshd_config"], stderr=log)
            if self._answers():
                return
            if not attempts_left:
                raise AssertionError((work / "log").read_text())

    def _answers(self):
        deadline = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            time.sleep(0.02)
        return False

    @property
    def origin(self):
        return f"sftp://127.0.0.1:{self.port}"

    def locked_key(self, passphrase):
        return self._user.export_private_key(passphrase=passphrase, rounds=50).decode()

    def known_hosts(self, name="known_hosts"):
        path = self.work / name
        path.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        return str(path)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


@contextlib.contextmanager
def sshd(work, more=""):
    server = Sshd(work, more)
    try:
        yield server
    finally:
        server.close()
