"""Names snapshots: a tagged snapshot and its bytes are kept until the tag is removed.

Rule: a tag is in the pointer before it is confirmed, so it survives the loss of the Catalogue.
"""

import re
import time
from collections.abc import Callable, Collection

import msgspec

from manifests.messages import message, plain
from manifests.snapshot import Pointer, Tag
from syncd.catalogue import Catalogue, MirrorRow
from syncd.core import Busy, NotFound, Store, UnknownName
from syncd.engine.pass_paths import pointer_path
from syncd.engine.rebuild_catalogue import current_snapshot

MAX_TAGS = 1_000  # of one mirror: the pointer names them all
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


class Tagging(msgspec.Struct, frozen=True):
    """What naming the snapshots of a mirror needs."""

    store: Store
    catalogue: Catalogue
    mirror: MirrorRow
    now: Callable[[], float] = time.time

    async def tag(self, snapshot: str, name: str, by: str) -> Tag:
        """Name a kept snapshot, given by its whole id. Raises Busy if the name means another one, or is none."""
        if NAME.fullmatch(name) is None:
            raise Busy(message("{name!r} is no name of a tag: use letters, digits, ., _ and -, at most 63", name=name))
        known = self.catalogue.tags.all(self.mirror.id)
        found = next((one for one in known if one.name == name), None)
        if found is not None and found.snapshot == snapshot:
            return found
        if found is not None:
            raise Busy(
                message(
                    "{mirror}: {name} is a tag of snapshot {snapshot} already: remove it first, or choose another name",
                    mirror=self.mirror.name,
                    name=name,
                    snapshot=found.snapshot[:12],
                )
            )
        if len(known) >= MAX_TAGS:
            raise Busy(message("{mirror}: has {most} tags already", mirror=self.mirror.name, most=MAX_TAGS))
        made = Tag(name, snapshot, self.now(), by)
        self.catalogue.tags.set(self.mirror.id, [made])
        try:
            await self._write_tags()
        except BaseException:
            self.catalogue.tags.remove(self.mirror.id, name)
            raise
        return made

    async def untag(self, name: str) -> Tag:
        """Remove a tag; its snapshot is kept as long as any other. Raises UnknownName."""
        found = next((one for one in self.catalogue.tags.all(self.mirror.id) if one.name == name), None)
        if found is None:
            raise UnknownName(
                message("{name}: {mirror} has no such tag; `syncd tag list {mirror}` shows them", name=name,
                        mirror=self.mirror.name)
            )  # fmt: skip
        self.catalogue.tags.remove(self.mirror.id, name)
        try:
            await self._write_tags()
        except BaseException:
            self.catalogue.tags.set(self.mirror.id, [found])
            raise
        return found

    async def _write_tags(self) -> None:
        """Write the tags into the pointer; all else in it stays."""
        tags = tuple(self.catalogue.tags.all(self.mirror.id))
        try:
            pointer = await current_snapshot(self.store, self.mirror.name)
        except NotFound as error:
            raise UnknownName(message("{name}: no snapshot is kept", name=self.mirror.name)) from error
        changed = msgspec.structs.replace(pointer, tags=tags, kept=_with(pointer, {tag.snapshot for tag in tags}))
        await self.store.put(pointer_path(self.mirror.name), msgspec.json.encode(changed, enc_hook=plain))


def _with(pointer: Pointer, tagged: Collection[str]) -> tuple[str, ...]:
    kept = pointer.kept or (pointer.snapshot,)
    return (*kept, *sorted(set(tagged) - set(kept)))
