"""Passes share the event loop: between two of its turns, all of them together handle few rows of the Catalogue."""

import asyncio
from contextlib import asynccontextmanager, suppress

import msgspec

from manifests.reading import DocumentRequest
from manifests.stat import Stat
from syncd.catalogue.database import Database
from syncd.core import SLICE
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

PASSES, FILES = 4, 900
BOUND = 4 * SLICE  # a slice is read, compared, and written to two tables; requests look up a file each


class RowsOfTurns:
    """Counts the rows that Catalogues read and write on the thread of the loop, from each turn of the loop to the next.

    Rows, and not time: they are the same on a slow machine.
    """

    def __init__(self, monkeypatch):
        self.rows = self.most = 0
        inner = Database._breathing

        def counted(database, rows):
            for row in inner(database, rows):
                self._count()
                yield row

        monkeypatch.setattr(Database, "_breathing", counted)

    def _count(self):
        with suppress(RuntimeError):  # in another thread
            asyncio.get_running_loop()
            self.rows += 1
            self.most = max(self.most, self.rows)

    @asynccontextmanager
    async def counting(self):
        self.rows = self.most = 0
        task = asyncio.create_task(self._begin_again())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _begin_again(self):
        while True:
            self.rows = 0
            await asyncio.sleep(0)


class Lines:
    """A reader of lines: path, size and time of a file."""

    native = False

    def start(self):
        return [DocumentRequest("list")]

    def read(self, document):
        for line in document.stream:
            path, size, modified = line.split()
            yield Stat(path.decode(), int(size), float(modified))


class Upstream(Archive):
    """An archive whose answers take a turn of the loop, as those of a network do."""

    async def stat(self, path):
        await asyncio.sleep(0)
        return await super().stat(path)


class ListedMirroring(Mirroring):
    """A mirror of files that a list names."""

    def list_files(self, files, modified):
        lines = (f"{path} {len(body)} {modified}\n" for path, body in sorted(files.items()))
        self.archive.files = {**files, "list": "".join(lines).encode()}

    def work(self, *given):
        return msgspec.structs.replace(super().work(*given), reader=Lines())


async def test_passes_together_handle_few_rows_of_the_catalogue_in_a_turn_of_the_loop(tmp_path, monkeypatch):
    files = {f"{n % 7}/f{n:05}": b"x%d" % n for n in range(FILES)}
    some = dict(list(files.items())[FILES - 50 :])
    mirrorings = [ListedMirroring(tmp_path / str(n), Upstream(), guard="100%") for n in range(PASSES)]
    turns, most = RowsOfTurns(monkeypatch), {}

    async def run(what, listed, modified):
        for one in mirrorings:
            one.list_files(listed, modified)
        async with turns.counting(), asyncio.TaskGroup() as group:
            passes = [group.create_task(one.run()) for one in mirrorings]
        most[what] = turns.most
        return passes[0].result()

    assert (await run("of new files", files, 1e9)).fetched == FILES
    assert (await run("of nothing", files, 1e9)).fetched == 0
    assert (await run("with questions", files, 1.1e9)).kept == FILES
    assert (await run("with deletions", some, 1.1e9)).removed == FILES - 50
    assert max(most.values()) <= BOUND, most
