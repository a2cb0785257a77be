"""Applies changed manifests and settings to a running daemon."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from manifests.access import access_of
from manifests.messages import message
from manifests.model import ManifestProblem, Mirror, load_mirror
from manifests.origins import origin_of
from syncd.catalogue import moved_from, overlap
from syncd.config import Config
from syncd.core import (
    Audited,
    AuditView,
    ConfigError,
    ManifestAccepted,
    ManifestRejected,
    ManifestWithdrawn,
    Reloaded,
    ReloadFailed,
)
from syncd.daemon.daemon_deps import DaemonDeps
from syncd.daemon.manifest_watcher import Changes, ManifestWatcher, ScanResult
from syncd.daemon.mirror_registry import MirrorRegistry
from syncd.process import Notifier
from syncd.session import Session, audit_configuration, audit_withdrawal, names, owner_of, save_manifest
from syncd.sources import TRANSPORTS

LOOK = 2.0  # seconds between two scans of the manifests and of syncd.yaml
RESTART = ("state", "store", "listen", "api", "control", "log", "serve")  # keys that a running daemon cannot change


class Reloader:
    """The manifests and the configuration in force; `session` is the Session of that configuration."""

    def __init__(self, deps: DaemonDeps, registry: MirrorRegistry, session: Session, notifier: Notifier) -> None:
        """All are parts of the running daemon."""
        self.deps = deps
        self.registry = registry
        self.session = session
        self.notifier = notifier
        self.manifests = ManifestWatcher(
            session.config.manifests,
            load=lambda text, name: load_mirror(text, name, schemes=names(TRANSPORTS)),
            check=self._check,
        )
        self.adjust: Callable[[], None] = lambda: None
        """Called after the configuration changed."""
        self.on_config: Callable[[Config], None] = lambda _: None
        """Receives every new configuration."""
        self._scanned_at = float("-inf")
        self._mark: tuple[int, int] | None = None
        self._failed_mark: tuple[int, int] | None = None
        self._seen_mark: tuple[int, int] | None = None
        self._has_noted_publications = False
        self._owners: dict[str, str] = {}
        """Who owns each manifest file: nothing else tells who wrote it."""

    async def start(self) -> None:
        """Declare the stored copies, then the manifests."""
        self._mark = await asyncio.to_thread(file_mark, self.deps.watched)
        await self._note_configuration(self.session.config)
        self.registry.declare((), {})  # the stored copies, before any manifest is read
        await self.scan(at_once=True)
        self.declare()

    async def look(self) -> None:
        """Read what was asked for, or what changed since the last look."""
        if self.deps.reload.is_set():
            self.deps.reload.clear()
            await self._reload(at_once=True)
        elif self.manifests.is_unsettled or self.deps.clock() - self._scanned_at >= min(LOOK, 2 * self.deps.tick):
            await self.scan()
            await self._reload_if_changed()

    async def scan(self, *, at_once: bool = False) -> None:
        """Scan the manifests, and apply what changed."""
        seen: ScanResult | None = await asyncio.to_thread(self.manifests.scan)
        self._scanned_at = self.deps.clock()
        if seen is None:
            return
        if seen.read:
            self._owners |= await asyncio.to_thread(lambda: {file: owner_of(file) for file in seen.read})
        vanished = self.manifests.vanished
        self._apply_changes(self.manifests.apply(seen, self.deps.now(), at_once=at_once))
        if not self._has_noted_publications and self.manifests.files:
            self.note_publications()  # what was withdrawn while no daemon ran
        if self.manifests.vanished and not vanished:
            folders = ", ".join(str(path) for path in self.manifests.paths)
            what = f"{folders}: no manifest found: is it mounted? All stay in force; send SIGHUP to withdraw them"
            self.registry.on_event(ManifestRejected("", folders, (what,), in_force=True))

    def _apply_changes(self, changes: Changes) -> None:
        if not changes:
            return
        self.declare()
        self.note_publications()
        for declared in changes.withdrawn:
            self.registry.on_event(ManifestWithdrawn(declared.mirror.name, declared.file))
        for declared in changes.accepted:
            self.session.governors.forget(origin_of(declared.mirror.source.url))
            self.registry.on_event(ManifestAccepted(declared.mirror.name, declared.file))
        for file in changes.rejected:
            problems = tuple(str(problem) for problem in file.all_problems)
            in_force = any(one.file == file.name for one in self.manifests.in_force.values())
            self.registry.on_event(ManifestRejected(file.declared_name, file.name, problems, in_force))
        self.registry.wake.set()

    def note_publications(self) -> None:
        """Record which mirrors are published; one that no longer is leaves a tombstone."""
        self._has_noted_publications = True
        publications, now = self.session.catalogue.publications, self.deps.now()
        in_force = {declared.mirror.name: declared.mirror for declared in self.manifests.in_force.values()}
        unsettled = {file.declared_name for file in self.manifests.files.values()} - in_force.keys()
        for name, mirror in in_force.items():
            if access_of(mirror, datetime.fromtimestamp(now, UTC)) != "private":
                publications.begin(name, now)
        for name in publications.public().keys() - unsettled:  # a manifest with errors withdraws nothing
            if name not in in_force:
                publications.end(name, now, "withdrawn")
            elif access_of(in_force[name], datetime.fromtimestamp(now, UTC)) == "private":
                publications.end(name, now, "private")

    def declare(self) -> None:
        """Tell the registry which manifests are in force, and which are rejected."""
        rejected = {
            file.declared_name: str(file.all_problems[0])
            for file in self.manifests.files.values()
            if file.all_problems and file.declared_name
        }
        self.registry.declare(self.manifests.in_force.values(), rejected)
        self._store_manifests()

    def _report_entry(self, entry: AuditView | None) -> None:
        if entry is not None:
            self.registry.on_event(Audited(entry.mirror, entry.who, entry.what, entry.outcome, entry.id, entry.hash))

    def _store_manifests(self) -> None:
        """Record the manifests in force: the public side, which may be another process, reads them in the Catalogue."""
        in_force = {one.mirror.name for one in self.manifests.in_force.values()}
        settings = self.session.catalogue.settings
        for one in self.manifests.in_force.values():
            name = one.mirror.name
            who = self._owners.get(one.file, "")
            self._report_entry(
                save_manifest(self.session.catalogue, name, one.text, at=self.deps.now(), file=one.file, who=who)
            )
        for name in {*in_force, *self.registry.states}:
            withdrawn = "" if name in in_force else "yes"
            if (settings.get(f"withdrawn:{name}") or "") != withdrawn:
                if withdrawn and settings.get(f"manifest:{name}") is not None:
                    self._report_entry(audit_withdrawal(self.session.catalogue, name, at=self.deps.now()))
                settings.set(f"withdrawn:{name}", withdrawn)

    def _check(self, mirror: Mirror) -> Iterable[ManifestProblem]:
        """Yield the problems of a mirror in this daemon; safe in any thread."""
        for number, source in enumerate(mirror.sources):
            name = source.credentials
            if name is not None and name not in self.session.config.credentials:
                where = "source.credentials" if len(mirror.sources) == 1 else f"source[{number}].credentials"
                yield _problem(
                    where, message("{name} is not in syncd.yaml", name=name), message("add it there, under credentials")
                )
            via = source.via
            if via not in (None, "direct") and "://" not in str(via) and via not in self.session.config.network.proxies:
                where = "source.via" if len(mirror.sources) == 1 else f"source[{number}].via"
                yield _problem(
                    where,
                    message("{name} is not in syncd.yaml", name=via),
                    message("add it there, under network.proxies"),
                )
        mirror_state = self.registry.states.get(mirror.name)
        moved = moved_from(mirror_state.row if mirror_state is not None else None, mirror.prefix)
        holders = [
            (other.name, other.row.prefix)
            for other in list(self.registry.states.values())
            if other.row is not None and (other.row.snapshot or other.row.attempted is not None)
        ]
        if (found := moved or overlap(mirror.name, mirror.prefix, holders)) is not None:
            yield _problem("store.prefix", *found)

    async def _reload_if_changed(self) -> None:
        mark = await asyncio.to_thread(file_mark, self.deps.watched)
        before, self._seen_mark = self._seen_mark, mark  # a file that is still being written is not read
        if mark is not None and mark == before and mark not in {self._mark, self._failed_mark}:
            await self._reload()

    async def _reload(self, *, at_once: bool = False) -> None:
        """Read the configuration and the manifests again; an invalid one changes nothing."""
        self.notifier.reloading()
        mark = await asyncio.to_thread(file_mark, self.deps.watched)
        try:
            config = await asyncio.to_thread(self.deps.load)
        except ConfigError as error:
            self._failed_mark = mark
            self.registry.on_event(ReloadFailed("", tuple(str(error).splitlines())))
        else:
            self._mark, self._failed_mark = mark, None
            at_once = self._adopt(config) or at_once
            await self._note_configuration(config)
        await self.scan(at_once=at_once)
        self.notifier.ready(message("read its configuration again"))

    def _note_revocations(self, old: Config, config: Config) -> None:
        """Write to the audit log whose token was revoked in the configuration file."""
        before = {token.name for token in old.tokens if token.revoked is not None}
        for token in config.tokens:
            if token.revoked is not None and token.name not in before:
                outcome = message("the token of {name} was revoked", name=token.name)
                self._report_entry(
                    self.session.catalogue.pass_history.add_audit(
                        at=self.deps.now(), who="syncd.yaml", door="file", what="revoke", mirror="", outcome=outcome
                    )
                )

    async def _note_configuration(self, config: Config) -> None:
        """Write to the audit log which keys of the configuration changed, also while no daemon ran."""
        catalogue, file = self.session.catalogue, self.deps.watched
        owner = await asyncio.to_thread(owner_of, str(file or ""))
        self._report_entry(audit_configuration(catalogue, config, at=self.deps.now(), file=file, who=owner))

    def _adopt(self, config: Config) -> bool:
        """Apply a new configuration; returns True if the paths of the manifests changed."""
        old = self.session.config
        changed = tuple(name for name in type(config).model_fields if getattr(config, name) != getattr(old, name))
        later = tuple(name for name in changed if name in RESTART)
        self.session = msgspec.structs.replace(
            self.session, config=config.model_copy(update={name: getattr(old, name) for name in later})
        )
        self.manifests.paths = config.manifests
        self._note_revocations(old, config)
        if "credentials" in changed:
            self.manifests.recheck_all()
        self.adjust()
        self.on_config(config)
        self.registry.on_event(Reloaded("", changed, later))
        return "manifests" in changed


def _problem(where: str, what: str, todo: str) -> ManifestProblem:
    return ManifestProblem("", 1, 1, where, what, todo)


def file_mark(path: Path | None) -> tuple[int, int] | None:
    """Return what changes with a file; None if there is none."""
    if path is None:
        return None
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None
