"""Reads secrets when they are needed from the locations in syncd.yaml; they are never printed.

Rules:
1. A file that others can read, or that anyone but its owner can change, is rejected.
2. Error messages contain no character of a secret.
"""

import base64
import netrc
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from manifests.messages import message
from syncd.config.credentials import CredentialSettings, OAuth, Secret
from syncd.core import ConfigError, Credential

MAX_SECRET = 64 << 10  # bytes


def read_credential(settings: CredentialSettings, name: str, environ: Mapping[str, str]) -> Credential:
    """Return a credential with its secret, read now (it blocks). Raises ConfigError, which never shows the secret."""
    return replace(_read(settings, name, environ), also=settings.also)


def _read(settings: CredentialSettings, name: str, environ: Mapping[str, str]) -> Credential:
    where = f"credentials.{name}"
    if settings.netrc is not None:
        username, password = _from_netrc(settings.netrc, settings.origin, where, environ)
        return Credential(name, settings.origin, "basic", password, username=username)
    if settings.oauth is not None:
        return _oauth(settings.oauth, settings.origin, name, environ)
    if settings.login is not None:
        login = settings.login
        if login.netrc is not None:
            username, password = _from_netrc(login.netrc, login.at, f"{where}.login", environ)
        else:
            assert login.username is not None
            assert login.password is not None
            username, password = login.username, read_secret(login.password, f"{where}.login.password", environ)
        return Credential(name, settings.origin, "login", password, username=username, at=login.at)
    if settings.basic is not None:
        password = read_secret(settings.basic.password, f"{where}.basic.password", environ)
        return Credential(name, settings.origin, "basic", password, username=settings.basic.username)
    if settings.bearer is not None:
        token = read_secret(settings.bearer, f"{where}.bearer", environ)
        return Credential(name, settings.origin, "bearer", token)
    if settings.header is not None:
        value = read_secret(settings.header.value, f"{where}.header.value", environ)
        return Credential(name, settings.origin, "header", value, header=settings.header.name)
    if settings.key is not None:
        key = read_secret(settings.key.private_key, f"{where}.key.private_key", environ, lines=True)
        opens = settings.key.passphrase
        passphrase = read_secret(opens, f"{where}.key.passphrase", environ) if opens is not None else ""
        return Credential(name, settings.origin, "key", key, username=settings.key.username, token=passphrase)
    assert settings.s3 is not None  # a CredentialSettings has one kind
    keys = settings.s3
    secret = read_secret(keys.secret_access_key, f"{where}.s3.secret_access_key", environ)
    session = ""
    if keys.session_token is not None:
        session = read_secret(keys.session_token, f"{where}.s3.session_token", environ)
    return Credential(name, settings.origin, "s3", secret, username=keys.access_key_id, token=session)


def _oauth(oauth: OAuth, origin: str, name: str, environ: Mapping[str, str]) -> Credential:
    where = f"credentials.{name}.oauth"
    password = read_secret(oauth.password, f"{where}.password", environ) if oauth.password is not None else ""
    client_secret = ""
    if oauth.client_secret is not None:
        client_secret = read_secret(oauth.client_secret, f"{where}.client_secret", environ)
    return Credential(
        name,
        origin,
        "oauth",
        password,
        username=oauth.username or "",
        token=client_secret,
        at=oauth.token_url,
        client=oauth.client_id,
    )


class _JwtClaims(msgspec.Struct):
    exp: float | None = None


def expiry_of(credential: Credential) -> float | None:
    """Return when a credential is no longer valid, in seconds since the epoch; None if it is unknown.

    A JSON Web Token states it; its signature is not checked, which only its issuer could do.
    """
    parts = credential.secret.split(".")
    if credential.scheme != "bearer" or len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_JwtClaims).exp
    except (ValueError, msgspec.DecodeError):
        return None  # a token of another kind that happens to have two dots


def read_secret(secret: Secret, where: str, environ: Mapping[str, str], *, lines: bool = False) -> str:
    """Return a secret; only one that is made of `lines` may have several."""
    take = _many_lines if lines else _one_line
    if secret.env is not None:
        if secret.env not in environ:
            raise ConfigError(
                message(
                    "{where}: the environment variable {env} is not set: set it, or use a file",
                    where=where,
                    env=secret.env,
                )
            )
        return take(environ[secret.env], where)
    if secret.systemd is not None:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            todo = message("add LoadCredential={systemd}:/path to the unit", systemd=secret.systemd)
            raise ConfigError(
                message(
                    "{where}: systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set): {todo}",
                    where=where,
                    todo=todo,
                )
            )
        return take(_private(Path(folder) / secret.systemd, where), where)
    assert secret.file is not None  # a Secret has one place
    return take(_private(_expand_home(secret.file, environ), where), where)


def _expand_home(path: Path, environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home, *path.parts[1:]) if path.parts[:1] == ("~",) and home else path


def _private(path: Path, where: str) -> str:
    """Return the text of a file that only its owner can change, and only its owner and group can read."""
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            mode = os.fstat(file.fileno()).st_mode  # of the file that is read, even if the name is replaced meanwhile
            if not stat.S_ISREG(mode):
                raise ConfigError(
                    message("{where}: {path}: not a file: name the file that holds the secret", where=where, path=path)
                )
            if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
                shown = f"{stat.S_IMODE(mode):04o}"
                raise ConfigError(
                    message(
                        "{where}: {path}: others can read or change it (mode {shown}): chmod 600 {path}",
                        where=where,
                        path=path,
                        shown=shown,
                    )
                )
            held = file.read(MAX_SECRET + 1)
    except OSError as error:
        raise ConfigError(
            message(
                "{where}: {path}: cannot be read: {cause}: check the path and its owner",
                where=where,
                path=path,
                cause=error.strerror,
            )
        ) from error
    if len(held) > MAX_SECRET:
        raise ConfigError(
            message(
                "{where}: {path}: longer than {max_secret} bytes: name the file that holds the secret alone",
                where=where,
                path=path,
                max_secret=MAX_SECRET,
            )
        )
    try:
        return held.decode("utf-8")
    except UnicodeDecodeError:
        # `from None`: the original names the invalid bytes
        raise ConfigError(
            message("{where}: {path}: not UTF-8 text: store the bare secret", where=where, path=path)
        ) from None


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a file without waiting, so that a pipe can be rejected even if it has no writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _one_line(value: str, where: str) -> str:
    """Return a secret without the newline at its end."""
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigError(message("{where}: the secret is empty: store the bare value", where=where))
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ConfigError(
            message("{where}: the secret has several lines or control characters: store the bare value", where=where)
        )
    return value


def _many_lines(value: str, where: str) -> str:
    """Return a secret of several lines."""
    if not value.strip():
        raise ConfigError(message("{where}: the secret is empty: store the key itself", where=where))
    return value


def _from_netrc(file: Path, origin: str, where: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name and the password that a netrc file has for an origin's host."""
    path = _expand_home(file, environ)
    _private(path, where)
    host = urlsplit(origin).hostname or ""
    try:
        machines = netrc.netrc(os.fspath(path)).hosts
    except netrc.NetrcParseError as error:
        # `from None`: the original quotes the invalid token, which may be the password
        raise ConfigError(
            message(
                "{where}: {path}: line {line}: not a netrc file: correct that line",
                where=where,
                path=path,
                line=error.lineno,
            )
        ) from None
    except OSError as error:
        raise ConfigError(
            message(
                "{where}: {path}: cannot be read: {cause}: check the path and its owner",
                where=where,
                path=path,
                cause=error.strerror,
            )
        ) from error
    if host not in machines:
        raise ConfigError(
            message(
                "{where}: {path}: names no machine {host}: add `machine {host} login NAME password SECRET`",
                where=where,
                path=path,
                host=host,
            )
        )
    login, _, password = machines[host]
    return login, _one_line(password or "", where)
