"""Takes nginx's reports of what it sent where it sends instead of us (`serve.send: accel`): only nginx knows that.

nginx logs one line for each answer to a Unix socket, in the form of syslog: the ticket under which the answer was
handed out, its status, the bytes of its body, and its range. It has no address and no name of a file.
"""

import re
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from manifests.messages import message
from syncd.core import ConfigError
from syncd.usage.counting import Sent

LONGEST = 4_096  # bytes of a line
MOST = 50_000  # answers that nginx has not reported yet
LATEST = 86_400.0  # seconds after which an answer is not waited for any more
ACCESS = 0o666  # of the socket: without a ticket, which is secret, a line means nothing
_LINE = re.compile(rb"syncd-usage ([0-9a-f]{16}) (\d{3}) (\d{1,18})(?: bytes (\d{1,18})-(\d{1,18})/)?")
_END = b"end"

OnSent = Callable[[Sent], None]


class NginxReports:
    """The answers that were handed to nginx, and a thread that hears what became of them."""

    def __init__(self, path: Path, on_sent: OnSent, now: Callable[[], float]) -> None:
        """Listen at `path`. `on_sent` is called in the thread. Raises ConfigError if the socket cannot be made."""
        self._on_sent, self._now, self._path = on_sent, now, path
        self._lock = threading.Lock()
        self._handed: OrderedDict[str, Sent] = OrderedDict()
        self.lost = 0
        """Answers of which nginx reported nothing."""
        self._socket = _listen(path)
        self._thread = threading.Thread(target=self._receive_all, name="nginx-reports", daemon=True)
        self._thread.start()

    def submit(self, ticket: str, sent: Sent) -> None:
        """Remember an answer that nginx sends."""
        with self._lock:
            self._handed[ticket] = sent
            oldest = next(iter(self._handed.values()))
            if len(self._handed) > MOST or sent.at - oldest.at > LATEST:
                self._handed.popitem(last=False)
                self.lost += 1

    def close(self) -> None:
        """Stop listening; what nginx reports later is lost."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(_END, str(self._path))
        self._thread.join(5)
        self._socket.close()
        with suppress(OSError):
            self._path.unlink()

    def _receive_all(self) -> None:
        while True:
            try:
                line = self._socket.recv(LONGEST)
            except OSError:
                return
            if line == _END:
                return
            self._take(line)

    def _take(self, line: bytes) -> None:
        found = _LINE.search(line)
        if found is None:
            return
        with self._lock:
            one = self._handed.pop(found[1].decode(), None)
        if one is None:
            return
        start, stop = (int(found[4]), int(found[5]) + 1) if found[4] else (0, one.size)
        status = int(found[2])
        sent = int(found[3]) if status in {200, 206} else 0
        self._on_sent(one._replace(at=self._now(), status=status, sent=sent, start=start, stop=stop))


def _listen(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            if path.is_socket():
                path.unlink()  # of a process that was killed
        made.bind(str(path))
        path.chmod(ACCESS)
    except OSError as error:
        made.close()
        raise ConfigError(
            message(
                "usage.nginx: {path}: cannot be made: {cause}: give a path in a folder that syncd may write, as in "
                "/run/syncd/usage.sock",
                path=path,
                cause=error.strerror or error,
            )
        ) from error
    return made
