"""What every Store must hold, whatever it is made of; `test_stores.py` says which stores there are."""

import asyncio
import itertools
import random
import time
from contextlib import aclosing, suppress

import pytest

from syncd.core.errors import Busy, Changed, Damaged, Exists, NotFound, Offline, PermanentError, Unsafe, Unsupported
from syncd.stores.capability_probe import probe
from syncd.stores.lease import Lease, ProcessIdentity
from tests.servers.fixtures import sha256

NAMES = [
    "plain", "a b", "a+b", "a%20b", "%41", "ü/ß/日本.txt", "😀", "a&b<c>\"d'", "x?y#z", "a;b=c", "~tilde", "e\u0301",
    "sp ace /and slash", "dash-", ".hidden", "..almost", "*star*", "[x]{y}", "semi:colon", "@at", "comma,",
]  # fmt: skip


async def read(store, path, **how):
    async with store.open(path, **how) as body:
        return b"".join([chunk async for chunk in body])


async def paths(store, prefix=""):
    async with aclosing(store.list(prefix)) as found:
        return [stat.path async for stat in found]


async def upload(store, path, body, *, size=..., steps=None, **commit):
    """Stage `body` in pieces, in the order of `steps`, and commit it."""
    async with store.stage(path, size=len(body) if size is ... else size) as staged:
        starts = list(range(0, len(body), store.piece))
        for start in starts if steps is None else [starts[number] for number in steps]:
            await staged.write(start, body[start : start + store.piece])
        return await staged.commit(size=len(body), sha256=sha256(body), **commit)


class StoreContract:
    """Needs fixtures `reopen` (a new Store on the same place, as after a restart) and `store`."""

    async def test_what_was_put_is_read_back_and_described(self, store):
        began = time.time()
        stat = await store.put("a/b.txt", b"hello")
        assert (stat.path, stat.size) == ("a/b.txt", 5)
        found = await store.stat("a/b.txt")
        assert (found.path, found.size, found.version) == ("a/b.txt", 5, stat.version)
        assert found.version.startswith('"')
        assert began - 2 <= found.modified <= time.time() + 2  # S3 counts in whole seconds
        async with store.open("a/b.txt") as body:
            assert (body.stat.size, body.stat.version, body.start, body.stop) == (5, stat.version, 0, 5)
            assert b"".join([chunk async for chunk in body]) == b"hello"

    async def test_a_put_replaces_and_gives_another_version(self, store):
        first = await store.put("a", b"one")
        second = await store.put("a", b"two")
        assert first.version != second.version
        assert await read(store, "a") == b"two"

    @pytest.mark.promise("P3")
    async def test_a_create_only_put_leaves_what_is_there(self, store):
        await store.put("a", b"one", if_absent=True)
        with pytest.raises(Exists, match=r"^a: "):
            await store.put("a", b"two", if_absent=True)
        assert await read(store, "a") == b"one"

    async def test_an_empty_file_is_a_file(self, store):
        await store.put("empty", b"")
        assert (await store.stat("empty")).size == 0
        assert await read(store, "empty") == b""
        assert await read(store, "empty", start=0, stop=10) == b""
        await upload(store, "staged-empty", b"")
        assert (await store.stat("staged-empty")).size == 0

    async def test_many_puts_at_once_all_arrive(self, store):
        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(store.put(f"many/{number % 3}/{number}", b"%d" % number))
        assert [await read(store, f"many/{number % 3}/{number}") for number in range(30)] == [
            b"%d" % number for number in range(30)
        ]

    @pytest.mark.parametrize("name", NAMES)
    async def test_every_name_comes_back_as_it_was(self, store, name):
        await store.put(f"n/{name}", name.encode())
        assert await read(store, f"n/{name}") == name.encode()
        assert await paths(store, "n/") == [f"n/{name}"]
        await store.move(f"n/{name}", f"m/{name}")
        assert await paths(store) == [f"m/{name}"]

    @pytest.mark.fault(19)
    @pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc/passwd", "a//b", "a/", "", ".", "a/./b", "a\0b"])
    async def test_a_path_that_leads_elsewhere_is_refused(self, store, path):
        with pytest.raises(Unsafe):
            await store.put(path, b"x")
        with pytest.raises(Unsafe):
            await store.stat(path)
        with pytest.raises(Unsafe):
            async with store.stage(path, size=1):
                pass

    async def test_what_is_not_there_is_not_found(self, store):
        for ask in (store.stat("no"), read(store, "no"), store.copy("no", "to"), store.move("no", "to")):
            with pytest.raises(NotFound, match=r"^(no|to): "):
                await ask

    async def test_removing_what_is_not_there_is_no_error(self, store):
        await store.put("a/b", b"x")
        await store.delete("a/b")
        await store.delete("a/b")
        await store.delete("never/was")
        assert await paths(store) == []

    async def test_a_listing_is_sorted_by_whole_paths_and_goes_over_many_pages(self, store):
        names = sorted([*(f"p/{n:02d}" for n in range(11)), "p/a-b", "p/a/b", "p/a0", "p/a/c/d", "q", "p-", "pa"])
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(store.put(name, name.encode()))
        assert await paths(store) == names
        assert await paths(store, "p/") == [name for name in names if name.startswith("p/")]
        assert await paths(store, "p/a") == [name for name in names if name.startswith("p/a")]
        assert await paths(store, "nothing/") == []
        pages = [page async for page in store.list_pages("p", "p/05")]
        assert [stat.path for page in pages for stat in page] == [n for n in names if n.startswith("p") and n > "p/05"]

    async def test_a_range_is_exactly_what_was_asked_for(self, store):
        body = bytes(range(256)) * 100
        await store.put("r", body)
        for start, stop in ((0, 1), (5, 9), (0, len(body)), (len(body) - 1, len(body)), (100, None)):
            async with store.open("r", start=start, stop=stop) as got:
                end = len(body) if stop is None else stop
                assert (got.start, got.stop, got.stat.size) == (start, end, len(body))
                assert b"".join([chunk async for chunk in got]) == body[start:stop]
        assert await read(store, "r", start=len(body) - 3, stop=len(body) + 50) == body[-3:]
        with pytest.raises(Unsupported):
            await read(store, "r", start=len(body) + 1)

    async def test_a_read_is_bound_to_its_version(self, store):
        old = await store.put("v", b"old bytes")
        assert await read(store, "v", start=4, version=old.version) == b"bytes"
        await store.put("v", b"new bytes")
        for how in ({"start": 4}, {}, {"start": 0, "stop": 4}):
            with pytest.raises(Changed, match=r"^v: "):
                await read(store, "v", version=old.version, **how)

    @pytest.mark.promise("P4")
    @pytest.mark.fault(40)
    async def test_move_and_copy_replace_and_can_be_repeated_after_a_crash(self, store):
        await store.put("a", b"one")
        await store.put("b", b"two")
        await store.copy("a", "b")
        await store.copy("a", "b")
        assert [await read(store, path) for path in ("a", "b")] == [b"one", b"one"]
        await store.move("a", "b")  # two names of one file
        assert await paths(store) == ["b"]
        await store.move("b", "deep/er/c")
        await store.move("b", "deep/er/c")
        assert await paths(store) == ["deep/er/c"]
        await store.copy("deep/er/c", "deep/er/c")
        await store.move("deep/er/c", "deep/er/c")
        assert await read(store, "deep/er/c") == b"one"

    @pytest.mark.parametrize("beyond", [None, -1, 0, 1])
    async def test_a_file_about_as_long_as_a_piece_arrives_whole(self, store, beyond):
        body = random.Random(7).randbytes(1 if beyond is None else store.piece + beyond)
        stat = await upload(store, "f/x", body)
        assert stat.size == len(body)
        assert (await store.stat("f/x")).version == stat.version
        assert await read(store, "f/x") == body

    async def test_parts_may_come_in_any_order_and_at_any_offset(self, store):
        body = random.Random(8).randbytes(2 * store.piece + 12345)
        cuts = sorted({0, len(body), *(random.Random(9).randrange(len(body)) for _ in range(9))})
        spans = list(itertools.pairwise(cuts))
        random.Random(10).shuffle(spans)
        async with store.stage("any", size=len(body)) as staged:
            async with asyncio.TaskGroup() as group:
                for start, stop in spans:
                    group.create_task(staged.write(start, body[start:stop]))
            await staged.commit(size=len(body), sha256=sha256(body))
        assert await read(store, "any") == body

    async def test_a_file_of_unknown_size_arrives_whole(self, store):
        for length in (10, 2 * store.piece + 1):
            body = random.Random(11).randbytes(length)
            await upload(store, "u", body, size=None)
            assert await read(store, "u") == body

    @pytest.mark.promise("P1")
    @pytest.mark.parametrize("size", [0, 7, 1 << 20, 6 << 20])
    async def test_a_stored_file_gets_another_name_as_bytes_of_its_own(self, store, size):
        body = random.Random(size).randbytes(size)
        await store.put("a", body)
        async with store.stage("deep/b", size=size, of="a") as staged:
            assert b"".join([chunk async for chunk in staged.read()]) == body
            assert await paths(store) == ["a"]
            await staged.commit(size=size, sha256=sha256(body), if_absent=True)
        assert [await read(store, path) for path in ("a", "deep/b")] == [body, body]
        await store.put("a", b"changed")
        assert await read(store, "deep/b") == body
        async with store.stage("deep/b", size=7, of="a") as staged:
            assert b"".join([chunk async for chunk in staged.read()]) == b"changed"
            with pytest.raises(Exists):
                await staged.commit(size=7, sha256=sha256(b"changed"), if_absent=True)
            await staged.commit(size=7, sha256=sha256(b"changed"))
        assert await read(store, "deep/b") == b"changed"

    async def test_what_a_copy_shows_is_what_was_read_though_its_source_is_replaced(self, store):
        before = random.Random(3).randbytes(3 << 20)
        after = before[::-1]
        await store.put("a", before)
        async with store.stage("b", size=len(before), of="a") as staged:
            assert b"".join([chunk async for chunk in staged.read()]) == before
            await store.put("a", after)
            with suppress(Changed):
                await staged.commit(size=len(before), sha256=sha256(before))
                assert await read(store, "b") == before
        assert after not in [await read(store, path) for path in await paths(store) if path != "a"]

    async def test_a_copy_of_what_is_not_there_is_not_found_and_a_discarded_one_leaves_nothing(self, store):
        with pytest.raises(NotFound):
            async with store.stage("b", size=1, of="a"):
                pass
        await store.put("a", b"bytes")
        async with store.stage("b", size=5, of="a") as staged:
            await staged.discard()
        assert await paths(store) == ["a"]

    async def test_nothing_is_visible_before_the_commit_and_nothing_but_the_whole_after(self, store):
        old, new = b"old", random.Random(12).randbytes(store.piece + 99)
        await store.put("w", old)
        async with store.stage("w", size=len(new)) as staged:
            await staged.write(0, new[: store.piece])
            assert await read(store, "w") == old
            await staged.write(store.piece, new[store.piece :])
            assert await paths(store) == ["w"]
            watching = True
            seen = set()

            async def watch():
                while watching:
                    seen.add(sha256(await read(store, "w")))

            async with asyncio.TaskGroup() as group:
                group.create_task(watch())
                await staged.commit(size=len(new), sha256=sha256(new))
                watching = False
        assert seen <= {sha256(old), sha256(new)}
        assert await read(store, "w") == new

    @pytest.mark.promise("P1")
    async def test_a_file_in_place_is_invisible_before_its_commit_and_whole_after(self, store):
        await store.put("old", b"old")
        for path, length, size in (("s", 10, 10), ("w", store.piece + 99, ...), ("u", store.piece + 99, None)):
            body = random.Random(length).randbytes(length)
            async with store.stage(path, size=length if size is ... else size, in_place=True) as staged:
                for start in range(0, length, store.piece):
                    await staged.write(start, body[start : start + store.piece])
                await self.settle(staged)
                assert path not in await paths(store)
                await staged.commit(size=length, sha256=sha256(body), if_absent=True)
            assert await read(store, path) == body
        body = random.Random(3).randbytes(store.piece + 5)
        async with store.stage("old", size=len(body), in_place=True) as staged:
            await staged.write(0, body)
            with pytest.raises(Exists, match=r"^old: "):
                await staged.commit(size=len(body), sha256=sha256(body), if_absent=True)
            assert await read(store, "old") == b"old"
            await staged.commit(size=len(body), sha256=sha256(body))
        assert await read(store, "old") == body
        async with store.stage("d", size=len(body), in_place=True) as staged:
            await staged.write(0, body)
            await self.settle(staged)
            await staged.discard()
        assert sorted(await paths(store)) == ["old", "s", "u", "w"]
        assert await store.sweep(-5.0) == 0

    async def test_a_commit_of_less_than_was_announced_is_refused(self, store):
        for length in (10, store.piece + 10):
            body = bytes(length)
            async with store.stage("less", size=length) as staged:
                await staged.write(1, body[1:])
                with pytest.raises(Damaged, match=r"^less: .*\[0, 1\)"):
                    await staged.commit(size=length, sha256=sha256(body))
                await staged.discard()
        assert await paths(store) == []

    async def test_a_commit_may_go_elsewhere(self, store):
        for length in (10, store.piece + 10):
            body = random.Random(length).randbytes(length)
            await upload(store, "here", body, to=".syncd/quarantine/m/here")
            assert await read(store, ".syncd/quarantine/m/here") == body
            assert await paths(store, "here") == []

    async def test_a_create_only_commit_can_still_replace_afterwards(self, store):
        for length in (10, store.piece + 10):
            await store.put("c", b"old")
            body = random.Random(length).randbytes(length)
            async with store.stage("c", size=length) as staged:
                await staged.write(0, body)
                with pytest.raises(Exists, match=r"^c: "):
                    await staged.commit(size=length, sha256=sha256(body), if_absent=True)
                assert await read(store, "c") == b"old"
                await staged.commit(size=length, sha256=sha256(body))
            assert await read(store, "c") == body

    async def test_what_arrived_is_found_again_by_another_process(self, store, reopen):
        body = random.Random(13).randbytes(3 * store.piece + 77)
        piece = store.piece
        async with store.stage("res", size=len(body)) as staged:
            token = staged.token
            assert token
            for start in (0, 2 * piece):
                await staged.write(start, body[start : start + piece])
            await self.settle(staged)
        other = await reopen()
        async with other.stage("res", size=len(body), resume=token) as staged:
            assert staged.present_ranges == ((0, piece), (2 * piece, 3 * piece))
            await staged.write(3 * piece, body[3 * piece :])
            await staged.write(piece, body[piece : 2 * piece])
            assert b"".join([chunk async for chunk in staged.read()]) == body
            assert await paths(other) == []
            await staged.commit(size=len(body), sha256=sha256(body))
        assert await read(other, "res") == body

    async def test_a_resume_of_what_was_read_back_goes_on_from_there(self, store, reopen):
        body = random.Random(14).randbytes(store.piece + 7)
        async with store.stage("res", size=len(body)) as staged:
            token = staged.token
            await staged.write(0, body)
            assert b"".join([chunk async for chunk in staged.read()]) == body
        other = await reopen()
        async with other.stage("res", size=len(body), resume=token) as staged:
            assert staged.present_ranges == ((0, len(body)),)
            assert b"".join([chunk async for chunk in staged.read()]) == body
            await staged.commit(size=len(body), sha256=sha256(body))
        assert await read(other, "res") == body

    @pytest.mark.parametrize("token", ["", "nonsense", "../../etc/passwd", "0" * 32, f"{'0' * 32}.5242880.nope"])
    async def test_a_token_that_left_nothing_begins_anew(self, store, token):
        body = bytes(store.piece + 1)
        async with store.stage("anew", size=len(body), resume=token) as staged:
            assert staged.present_ranges == ()
            await staged.write(0, body)
            await staged.commit(size=len(body), sha256=sha256(body))
        assert await read(store, "anew") == body

    async def test_what_is_discarded_is_gone(self, store):
        body = bytes(2 * store.piece)
        async with store.stage("d", size=len(body)) as staged:
            token = staged.token
            await staged.write(0, body)
            await self.settle(staged)
            await staged.discard()
        async with store.stage("d", size=len(body), resume=token) as staged:
            assert staged.present_ranges == ()
            await staged.discard()
        assert await paths(store) == []
        assert await store.sweep(-5.0) == 0

    @pytest.mark.promise("P4")
    @pytest.mark.fault(47)
    async def test_a_sweep_drops_old_stagings_and_no_others(self, store, reopen):
        body = bytes(2 * store.piece)
        async with store.stage("old", size=len(body)) as staged:
            token = staged.token
            await staged.write(0, body[: store.piece])
            await self.settle(staged)
            assert await store.sweep(-5.0) == 0  # it is ours, and in use
        await store.put("kept", b"kept")
        other = await reopen()
        assert await other.sweep(3600.0) == 0
        assert await other.sweep(-5.0) == 1
        async with other.stage("old", size=len(body), resume=token) as staged:
            assert staged.present_ranges == ()
            await staged.discard()
        assert await paths(other) == ["kept"]

    async def test_a_store_keeps_its_id_and_knows_another(self, store, reopen):
        known = await store.identify(None)
        other = await reopen()
        assert await other.identify(None) == known
        assert await other.identify(known) == known
        with pytest.raises(Offline):
            await other.identify("somebody else")

    @pytest.mark.fault(39)
    async def test_an_empty_place_is_not_the_store_we_know(self, store):
        with pytest.raises(Offline, match=r"is missing|no such folder"):
            await store.identify("0" * 32)

    @pytest.mark.promise("P3")
    @pytest.mark.fault(43)
    async def test_a_lease_excludes_and_names_its_holder(self, store, reopen):
        now = [1000.0]
        first = self.lease(store, "first", now, pid=1)
        assert await first.acquire() == 1
        other = await reopen()
        second = self.lease(other, "second", now, host="elsewhere")
        with pytest.raises(Busy, match=r"first \(process 1 on here\).*1970-01-01T00:16:40Z"):
            await second.acquire()
        now[0] += 30
        await first.renew()
        await first.release()
        assert await second.acquire() == 2
        await second.release()

    @pytest.mark.promise("P3")
    @pytest.mark.fault(40, 43)
    async def test_a_lost_lease_is_noticed_by_who_lost_it(self, store, reopen):
        now = [1000.0]
        first = self.lease(store, "first", now)
        await first.acquire()
        first.check()
        now[0] += 61
        with pytest.raises(Busy):
            first.check()
        self.unlock(first)
        second = self.lease(await reopen(), "second", now, host="elsewhere")
        assert await second.acquire() == 2
        with pytest.raises(Busy, match=r"this process lost it: .*second"):
            await first.renew()
        await second.release()

    async def test_a_lease_of_a_dead_process_of_this_machine_is_free(self, store, reopen):
        now = [1000.0]
        first = self.lease(store, "first", now, pid=2**22 + 1)  # no process has this number
        await first.acquire()
        self.unlock(first)
        second = self.lease(await reopen(), "second", now)
        assert await second.acquire() == 2
        await second.release()

    async def test_free_is_a_number_or_none(self, store):
        free = await store.free()
        assert free is None or free > 0

    async def test_every_failure_of_a_store_is_one_of_ours(self, store):
        await store.put("dir/file", b"x")
        try:
            await store.put("dir/file/below", b"x")
        except PermanentError as error:
            assert str(error).startswith("dir/file")  # noqa: PT017  a bucket holds both, a folder cannot

    async def settle(self, staged):
        """Wait until what was written has arrived; a kill later loses nothing of it."""
        while getattr(staged, "_flying", None):
            await asyncio.wait(list(staged._flying.values()))

    def lease(self, store, holder, now, *, host="here", pid=None):
        async def settle(_):
            return None

        place = ProcessIdentity(host, host, pid or 12345)
        return Lease(store, holder, ttl=60.0, clock=lambda: now[0], sleep=settle, place=place)

    def unlock(self, lease):
        """Let go of the system's lock, as a death would."""
        lease._lock = None

    async def test_a_probe_finds_the_store_good_and_leaves_nothing(self, store):
        found = await probe(store)
        assert found.good_enough, found.lines()
        assert {check.name for check in found.checks} >= {"writes and reads", "takes files in parts"}
        assert all(seen for _, _, seen in found.lines())
        assert await paths(store) == []


class SummingContract(StoreContract):
    """Beside the contract: what a store holds that reads many files in one thread (`syncd.core.ports.Summing`)."""

    async def test_a_store_that_sums_sums_what_it_would_have_given_to_read(self, store):
        bodies = {"d/empty": b"", "d/short": b"x", "e/ü ß": random.Random(5).randbytes((1 << 19) + 1)}
        for path, body in bodies.items():
            await store.put(path, body)
        asked = ["d/short", "no", "e/ü ß", "d", "../out", "d/empty", "d/short"]
        found = await asyncio.to_thread(store.sums, asked, lambda: False)
        assert list(found) == [sha256(bodies[path]) if path in bodies else None for path in asked]
        assert list(await asyncio.to_thread(store.sums, ["d/short"], lambda: True)) == [None]
