"""Asks a running daemon over its socket in the state folder, or over `--url` with a token.

Only the standard library's client is used: a command that asks loads nothing else.
"""

import http.client
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from manifests.messages import message, plain
from syncd.control import Act, JobView, arguments_of
from syncd.core import Busy, ConfigError, Denied, NotFound, SyncdError, UnknownName, Unreachable, error_kinds

SOCKET = "control.sock"
TOKEN = "SYNCD_TOKEN"  # noqa: S105  the name of a variable
CONNECT = 10.0  # seconds
ANSWER = 90.0  # seconds until an answer begins
WAIT = 30.0  # seconds for which the daemon may hold an answer about a job
LARGEST = 64 << 20  # bytes of an answer

_job = msgspec.json.Decoder(JobView).decode


class _DaemonRefusal(msgspec.Struct):
    error: str = ""
    reason: str = ""
    todo: str = ""


class _UnixConnection(http.client.HTTPConnection):
    """A connection to a socket whose path may be longer than an address."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=CONNECT)
        self._path = path

    def connect(self) -> None:
        """Connect through a descriptor of the folder."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(CONNECT)
        descriptor = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock.connect(f"/proc/self/fd/{descriptor}/{self._path.name}")
        finally:
            os.close(descriptor)


class DaemonClient:
    """Asks one daemon; its methods block."""

    def __init__(self, connect: Callable[[], http.client.HTTPConnection], where: str, token: str = "") -> None:
        """`where` names the daemon in errors."""
        self._connect = connect
        self._where = where
        self._token = token

    def start(self, act: Act) -> JobView:
        """Start a job. Raises what the daemon refuses it with."""
        path = f"/api/v1/mirrors/{quote(act.mirror, safe='')}/acts/{act.name}"
        given = arguments_of(act)
        return _job(self.ask("POST", path, given or None))

    def job(self, number: int, wait: float = WAIT) -> JobView:
        """Return a job, after its end or after `wait` seconds."""
        return _job(self.ask("GET", f"/api/v1/jobs/{number}?wait={wait:g}"))

    def cancel(self, number: int) -> JobView:
        """Stop a job."""
        return _job(self.ask("POST", f"/api/v1/jobs/{number}/cancel"))

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Return the body of an answer. Raises SyncdError for every other one."""
        headers = {"Accept": "application/json"}
        raw = None
        if body is not None:
            raw, headers["Content-Type"] = msgspec.json.encode(body, enc_hook=plain), "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connect()
        try:
            connection.connect()
            assert connection.sock is not None
            connection.sock.settimeout(ANSWER)
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            found = response.read(LARGEST)
        except (OSError, http.client.HTTPException) as error:
            cause = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            raise Unreachable(
                message("{where}: the daemon does not answer: {cause}", where=self._where, cause=cause)
            ) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise _refused(self._where, response.status, found)
        return found


def _refused(where: str, status: int, body: bytes) -> SyncdError:
    """Return the error of an answer, of the kind that the command would raise by itself."""
    try:
        told = msgspec.json.decode(body, type=_DaemonRefusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _DaemonRefusal()
    if not told.reason:
        return Unreachable(message("{where}: answers {status}: is it syncd?", where=where, status=status))
    if status == 404 and told.error == NotFound.__name__:
        return UnknownName(told.reason)
    if status in {400, 415, 422}:
        return ConfigError(told.reason)
    return error_of(told.error, f"{told.reason}: {told.todo}" if told.error == Denied.__name__ else told.reason)


def error_of(kind: str, reason: str) -> SyncdError:
    """Return an error by the name of its kind."""
    return error_kinds().get(kind, Busy)(reason)


def find_daemon(state: Path) -> DaemonClient | None:
    """Return the client of the daemon that holds a state folder, None if none does. Raises Denied."""
    path = state / SOCKET
    connection = _UnixConnection(path)
    try:
        connection.connect()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise Denied(
            message(
                "{path}: permission denied: this user may not ask the daemon: join the group of control.group, or use "
                "--url with a token",
                path=path,
            )
        ) from error
    except OSError as error:
        raise Unreachable(
            message("{where}: the daemon does not answer: {cause}", where=path, cause=error.strerror or error)
        ) from error
    finally:
        connection.close()
    return DaemonClient(lambda: _UnixConnection(path), str(path))


def daemon_at(url: str, environ: Mapping[str, str]) -> DaemonClient:
    """Return the client of the daemon at a url, with the token of the environment. Raises ConfigError."""
    parts: Any = urlsplit(url if "://" in url else f"http://{url}")
    try:
        host, port, kinds = parts.hostname, parts.port, {"http": 80, "https": 443}
    except ValueError:
        host, port, kinds = None, None, {}
    if parts.scheme not in kinds or not host or parts.path not in {"", "/"}:
        raise ConfigError(message("--url: {url}: write it as in http://127.0.0.1:8750", url=url))

    def connect() -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(host, port or kinds[parts.scheme], timeout=CONNECT)

    return DaemonClient(connect, url, environ.get(TOKEN, ""))
