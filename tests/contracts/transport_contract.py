"""What every Transport must hold, and every Store where it reads like one; `test_transports.py` says which there are."""

import asyncio
from contextlib import aclosing

import pytest

from syncd.core.errors import Changed, NotFound, Unsupported

TREE = {
    "a-b": b"before a/c in the order of whole paths",
    "a/c": b"in a folder",
    "a/d/e.nc": bytes(range(256)) * 8192,  # 2 MiB
    "a0": b"behind a/",
    "b c/ü+&=;@%41.txt": b"a name that is hard to write in a url",
    "b c/#?.txt": b"and another",
    "empty": b"",
    "日本/語.nc": b"not ASCII",
}


async def read(transport, path, **span):
    """Return all bytes of one read; chunks are never empty."""
    async with transport.open(path, **span) as body:
        chunks = [chunk async for chunk in body]
        assert all(chunks)
        content = b"".join(chunks)
        assert body.stop is None or len(content) == body.stop - body.start
        return content


class TransportContract:
    """Needs a fixture `transport` that reads the fixture `tree`; `lists` says whether it can list."""

    lists = True
    strong = '"'  # how a version begins

    @pytest.fixture
    def tree(self):
        return dict(TREE)

    async def test_every_file_is_read_whole_under_its_name(self, transport, tree):
        for path, content in tree.items():
            assert await read(transport, path) == content

    async def test_a_stat_says_what_a_read_then_finds(self, transport, tree):
        for path, content in tree.items():
            stat = await transport.stat(path)
            assert (stat.path, stat.size) == (path, len(content))
            async with transport.open(path) as body:
                assert (body.stat.path, body.stat.size, body.start, body.stop) == (path, len(content), 0, len(content))
                assert (body.stat.version, body.stat.modified) == (stat.version, stat.modified)
                assert body.url

    @pytest.mark.parametrize(
        ("start", "stop"),
        [
            (0, 1),
            (0, 1000),
            (1, 2),
            (5, None),
            (1 << 20, (1 << 20) + 7),
            ((1 << 21) - 1, None),
            (7, 1 << 30),
            (0, 1 << 21),
        ],
    )
    async def test_a_range_is_exactly_what_was_asked_for(self, transport, tree, start, stop):
        content = tree["a/d/e.nc"]
        async with transport.open("a/d/e.nc", start=start, stop=stop) as body:
            assert (body.start, body.stop) == (start, min(stop or len(content), len(content)))
            assert body.stat.size == len(content)
            assert b"".join([chunk async for chunk in body]) == content[start:stop]

    async def test_ranges_read_at_once_put_together_are_the_file(self, transport, tree):
        content = tree["a/d/e.nc"]
        step = 100_003
        version = (await transport.stat("a/d/e.nc")).version
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(read(transport, "a/d/e.nc", start=at, stop=at + step, version=version))
                for at in range(0, len(content), step)
            ]
        assert b"".join(part.result() for part in parts) == content

    async def test_an_empty_file_has_no_bytes_and_no_error(self, transport):
        for span in ({}, {"stop": 0}, {"stop": 10}):
            assert await read(transport, "empty", **span) == b""

    async def test_a_start_past_the_end_is_unsupported(self, transport, tree):
        for start in (len(tree["a/c"]), len(tree["a/c"]) + 1):
            with pytest.raises(Unsupported, match=r"^a/c: "):
                await read(transport, "a/c", start=start)

    async def test_what_is_not_there_is_not_found(self, transport):
        for path in ("nope", "a/nope", "nope/nope"):
            with pytest.raises(NotFound, match=f"^{path}: "):
                await read(transport, path)
            with pytest.raises(NotFound, match=f"^{path}: "):
                await transport.stat(path)

    async def test_a_read_that_is_bound_to_its_version_succeeds_and_to_another_is_changed(self, transport, tree):
        version = (await transport.stat("a/c")).version
        assert version.startswith(self.strong)
        assert await read(transport, "a/c", version=version) == tree["a/c"]
        assert await read(transport, "a/c", start=3, version=version) == tree["a/c"][3:]
        for span in ({}, {"start": 3}, {"start": 3, "stop": 5}):
            with pytest.raises(Changed, match=r"^a/c: "):
                await read(transport, "a/c", version='"0123456789abcdef0123456789abcdef"', **span)

    async def test_a_body_may_be_left_at_any_time(self, transport, tree):
        for _ in range(3):
            async with transport.open("a/d/e.nc") as body:
                assert await anext(aiter(body))
        async with transport.open("a/d/e.nc"):
            pass
        assert await read(transport, "a/c") == tree["a/c"]

    async def test_a_read_may_be_cancelled_at_any_moment_and_the_next_one_works(self, transport, tree):
        for turns in range(12):
            task = asyncio.create_task(read(transport, "a/d/e.nc"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.result() == tree["a/d/e.nc"]
        assert await read(transport, "a/c") == tree["a/c"]

    async def test_a_caller_s_own_error_passes_through(self, transport):
        ours = TimeoutError("ours")
        with pytest.raises(TimeoutError) as caught:
            await self._fail(transport, ours)
        assert caught.value is ours

    async def _fail(self, transport, error):
        async with transport.open("a/d/e.nc") as body:
            async for _ in body:
                raise error

    async def test_closing_twice_is_no_error(self, transport):
        await read(transport, "a/c")
        await transport.aclose()
        await transport.aclose()

    async def test_a_listing_has_every_file_once_sorted_by_its_whole_path(self, transport, tree):
        if not self.lists:
            with pytest.raises(Unsupported):
                await self._listed(transport)
            return
        found = await self._listed(transport)
        assert [stat.path for stat in found] == sorted(tree)
        assert [stat.size for stat in found] == [len(tree[path]) for path in sorted(tree)]
        one = await transport.stat("a/c")
        assert next(stat for stat in found if stat.path == "a/c").version == one.version

    @pytest.mark.parametrize("prefix", ["a", "a/", "a/d", "a/d/e.nc", "a-", "b c/ü", "nope", "日"])
    async def test_a_prefix_is_a_string_and_not_a_folder(self, transport, tree, prefix):
        if self.lists:
            expected = [path for path in sorted(tree) if path.startswith(prefix)]
            assert [stat.path for stat in await self._listed(transport, prefix)] == expected

    async def test_a_listing_goes_on_behind_any_path(self, transport, tree):
        if self.lists:
            for after in [*tree, "a", "a/", "a/cc", "a/zz", "zz"]:
                expected = [path for path in sorted(tree) if path > after]
                found = [stat.path async for page in transport.list_pages(after=after) for stat in page]
                assert found == expected

    async def _listed(self, transport, prefix=""):
        async with aclosing(transport.list(prefix)) as found:
            return [stat async for stat in found]
