"""Moves large files: each is downloaded in ranges inside a sliding window, staged, verified and committed.

Another process can resume a staged file (`syncd.engine.ranged_download`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from manifests.messages import message
from manifests.stat import Stat
from syncd.catalogue import Inflight
from syncd.core import (
    Buffering,
    Changed,
    Mismatch,
    PermanentError,
    Step,
    SyncdError,
    TooLarge,
    TransferAdvanced,
    Transport,
    Unsupported,
)
from syncd.engine.destination import Destination
from syncd.engine.newer_answer import ends_itself, expected_size
from syncd.engine.ranged_download import DownloadSpec, FirstResponse, download
from syncd.engine.received_file import is_own_version, raise_if_changed, received_file, served_url
from syncd.engine.verdict import has_digest, hash_algorithms
from syncd.engine.verified_file import VerifiedFile
from syncd.streams import DecodedBody


class Journal(Protocol):
    """Records which large files are partly staged; `syncd.catalogue.WorkJournal`."""

    def begin(self, mirror: int, inflight: Inflight) -> None:
        """Record that the staging of a large file begins."""
        ...

    def end(self, mirror: int, path: str) -> None:
        """Delete the record of a staging that was committed or discarded."""
        ...


@dataclass(frozen=True, slots=True)
class LargeFiles:
    """The large files of one pass."""

    to: Destination
    journal: Journal
    mirror_id: int
    begun: dict[str, Inflight]
    window: int
    ceiling: int
    most: int
    buffering: Buffering | None
    """The store, if it keeps bytes in memory until they are sent."""

    async def stage(
        self,
        source: Transport,
        step: Step,
        stat: Stat,
        target: str,
        first: FirstResponse | None,
        begun: Inflight | None,
        *,
        last: bool,
    ) -> VerifiedFile:
        """Download, verify and store a file, from its `first` response on or where `begun` ended."""
        path, journal = step.path, self.journal
        answered = first.body.stat if first is not None else Stat(path, size=begun.size if begun is not None else None)
        is_decoded_here = first is not None and isinstance(first.body, DecodedBody)
        is_own = first is not None and is_own_version(stat, first.body)
        # decoded, or in chunks: the bytes themselves tell
        total = None if is_decoded_here or is_own else expected_size(stat, answered)
        version = begun.version if begun is not None else answered.version
        self.require_size(path, total)
        order = DownloadSpec(
            target=target,
            total=total,
            version=version,
            names=hash_algorithms(stat.digests, answered.digests, path=stat.path),
            window=self.window,
            width=self.ceiling,
            parallel=version is not None or has_digest(stat),
        )
        resume = begun.token if begun is not None else None
        copy = await self.to.copied.copy_of(source, first.body, total) if first is not None and not resume else None
        resume = copy.resume if copy is not None else resume
        # a file that cannot be resumed needs no staging key, nor one of which all bytes may be in flight at once;
        # bytes of the last attempt may go to the quarantine
        is_short = version is None or total is None or (self.buffering is not None and total <= self.buffering.most)
        in_place = begun is None and copy is None and not last and is_short
        place = self.to.verifier.target_path(step)
        async with self.to.store.stage(place, size=total, resume=resume, in_place=in_place) as file:
            # a version identifies bytes of one source only: across sources, only a digest proves the parts one file
            is_bound = has_digest(stat) or step.path not in self.to.tried
            is_resumable = False
            if version is not None and total is not None and file.token and is_bound:
                is_resumable = True
                journal.begin(self.mirror_id, Inflight(path, file.token, version, total))
            try:
                size, digests, head = await download(
                    source,
                    order,
                    file,
                    first,
                    hashing=self.to.hashing,
                    on_received=self._on_received(path, is_endless=total is None),
                )
                headers = first.body.headers if first is not None else {}
                self._require_end(stat, answered, first)
                received = received_file(
                    stat, answered, size, digests, head, headers, served_url(source, target), is_own=is_own
                )
                try:
                    proved = self.to.verifier.verify(step, stat, received)
                except Mismatch as error:
                    raise_if_changed(stat, answered, error)
                    raise
            except (Changed, Mismatch, Unsupported) as error:
                journal.end(self.mirror_id, path)
                if last and isinstance(error, Mismatch):
                    if (refused := await self.to.quarantine.refused(error, size)) is not None:
                        await file.discard()
                        raise refused from error
                    await file.commit(size=size, sha256=digests["sha256"], to=self.to.place.quarantine(path))
                    raise await self.to.quarantined(path, error, digests, first.body if first else None) from error
                await file.discard()
                raise
            except SyncdError:
                if not is_resumable:  # no pass will resume it, and staging expires only after days
                    await file.discard()
                elif version is not None and total is not None:  # with a fresh link, in this pass already
                    self.begun[path] = Inflight(path, file.token, version, total)
                raise
            try:
                await self.to.commit(file, proved)
            except PermanentError as error:
                raise error if copy is None else self.to.copied.failure(copy, path, error) from error
            if copy is not None:
                self.to.copied.worked(copy)
            return proved

    def _require_end(self, stat: Stat, answered: Stat, first: FirstResponse | None) -> None:
        """Raise Mismatch if the end of the file is unknown: no length, no digest, no chunked encoding."""
        if first is None or answered.size is not None or stat.size is not None or has_digest(stat):
            return
        if isinstance(first.body, DecodedBody):  # it proves its end
            return
        if not ends_itself(answered, first.body.headers, is_decoded=False):
            raise Mismatch(
                message(
                    "{path}: upstream announces neither a length nor a checksum, so completeness cannot be verified",
                    path=stat.path,
                )
            )

    def require_size(self, path: str, size: int | None) -> None:
        """Raise TooLarge if the size is more than `source.limits.max_file`."""
        if size is not None and size > self.most:
            raise TooLarge(
                message(
                    "{path}: {size} bytes, more than source.limits.max_file ({most})",
                    path=path,
                    size=size,
                    most=self.most,
                )
            )

    def _on_received(self, path: str, *, is_endless: bool) -> Callable[[int], None]:
        received = 0

        def advanced(count: int) -> None:
            nonlocal received
            received += count
            if is_endless:
                self.require_size(path, received)
            self.to.listener(TransferAdvanced(self.to.place.mirror, path, count))

        return advanced
