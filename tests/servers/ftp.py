"""A real vsftpd on loopback, over a temporary folder, run by whoever runs the tests."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.servers.started import free_port, start

CONFIGURATION = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
run_as_launching_user=YES
anonymous_enable=YES
ftp_username={user}
no_anon_password=NO
local_enable=NO
anon_root={root}
write_enable=NO
pasv_enable=YES
port_enable=NO
xferlog_enable=NO
isolate=NO
isolate_network=NO
seccomp_sandbox=NO
use_localtime=NO
max_clients={clients}
{more}
"""
TLS = """
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
rsa_cert_file={certificate}
require_ssl_reuse=YES
implicit_ssl=NO
"""


class Vsftpd:
    def __init__(self, root: Path, work: Path, more: str = "", clients: int = 0):
        work.mkdir(parents=True, exist_ok=True)
        program = shutil.which("vsftpd", path="/usr/sbin:/sbin:/usr/local/sbin")
        assert program is not None, "vsftpd is not installed (Debian: vsftpd)"
        user = pwd.getpwuid(os.getuid()).pw_name
        for attempts_left in (2, 1, 0):
            self.port = free_port()
            text = CONFIGURATION.format(port=self.port, user=user, root=root, clients=clients, more=more)
            (work / "vsftpd.conf").write_text(text)
            with (work / "out").open("wb") as out:
                self.process = start([program, work / "vsftpd.conf"], stdout=out, stderr=subprocess.STDOUT)
            if self._answers():
                return
            if not attempts_left:
                raise AssertionError((work / "out").read_text())

    def _answers(self):
        deadline = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            time.sleep(0.02)
        return False

    @property
    def origin(self):
        return f"ftp://127.0.0.1:{self.port}"

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


@contextlib.contextmanager
def vsftpd(root, work, more="", clients=0):
    server = Vsftpd(root, work, more, clients)
    try:
        yield server
    finally:
        server.close()
