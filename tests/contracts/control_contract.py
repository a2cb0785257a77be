"""What every Control promises; run over the one in memory and over a real daemon.

A test gets `control`, and `names`: a mirror that is idle with at least two files, `other` that no daemon has.
"""

import asyncio

import msgspec
import pytest

from manifests.messages import plain
from syncd.control.port import Control
from syncd.control.views import HEALTHS, STATES
from syncd.core import OUTCOMES
from syncd.core.errors import Busy, ConfigError, NotFound
from syncd.core.events import Audited

GOOD = "mirror: fresh\nsource: {url: 'https://example.org/fresh/'}\n"
WRONG = "mirror: Fresh\nsource: {url: 'ftp//nowhere'}\nfoo: 1\n"


class ControlContract:
    """Subclasses have fixtures `control` and `idle`, the name of an idle mirror with files and passes."""

    async def test_what_is_shown_of_all_mirrors_is_shown_of_one(self, control: Control, idle):
        views = control.mirrors()
        assert [view.name for view in views] == sorted(view.name for view in views)
        assert idle in [view.name for view in views]
        for view in views:
            assert view.state in STATES
            assert view.health in HEALTHS
            assert (view.progress is not None) == (view.state == "running")
            assert control.mirror(view.name).name == view.name
            assert view.reason or view.state in {"idle", "running"}
            msgspec.json.encode(view, enc_hook=plain)

    async def test_what_is_not_there_is_not_found(self, control: Control, idle):
        for call in (
            control.plan,
            control.passes,
            control.entries,
            control.snapshots,
            control.quarantine,
            control.parked,
            control.failures,
        ):
            with pytest.raises(NotFound, match="nowhere"):
                await call("nowhere")
        for change in (control.sync, control.pause, control.resume, control.approve, control.reject, control.cancel):
            with pytest.raises(NotFound, match="nowhere"):
                await change("nowhere", "me")
        with pytest.raises(NotFound, match="nowhere"):
            await control.unpin("nowhere", "a", "me")
        with pytest.raises(NotFound, match="nowhere"):
            await control.restore("nowhere", "a", "abcdef", "me")
        for look in (control.mirror, control.series):
            with pytest.raises(NotFound, match="nowhere"):
                look("nowhere")
        with pytest.raises(NotFound):
            await control.pass_events(idle, 10**9)
        with pytest.raises(NotFound):
            await control.entry(idle, "no/such/file")
        with pytest.raises(NotFound):
            await control.diff(idle, "ffffffff", "ffffffff")

    async def test_entries_are_paged_sorted_and_found_by_prefix(self, control: Control, idle):
        whole = await control.entries(idle, limit=10_000)
        assert len(whole) == control.mirror(idle).files > 1
        assert [e.path for e in whole] == sorted(e.path for e in whole)
        paged, after = [], ""
        while page := await control.entries(idle, after=after, limit=1):
            assert len(page) == 1
            paged += page
            after = page[-1].path
        assert paged == whole
        assert await control.entry(idle, whole[0].path) == whole[0]
        prefix = whole[-1].path[:3]
        assert await control.entries(idle, prefix=prefix) == [e for e in whole if e.path.startswith(prefix)]
        assert all(len(e.sha256) == 64 and e.verdict in {"verified", "attested"} for e in whole)

    async def test_passes_are_told_newest_first_with_their_events(self, control: Control, idle):
        passes = await control.passes(idle)
        assert passes
        assert [p.id for p in passes] == sorted((p.id for p in passes), reverse=True)
        assert all(p.outcome in OUTCOMES and p.mirror == idle for p in passes)
        assert await control.passes(idle, before=passes[-1].id) == []
        assert await control.passes(idle, limit=1) == passes[:1]
        assert {p.id for p in passes} <= {p.id for p in await control.passes(limit=1000)}
        events = await control.pass_events(idle, passes[0].id)
        assert [e.event for e in events][:1] == ["survey_started"]
        assert await control.pass_events(idle, passes[0].id, after=events[0].id) == events[1:]

    async def test_snapshots_and_their_difference(self, control: Control, idle):
        kept = await control.snapshots(idle)
        assert [one.current for one in kept] == [True] + [False] * (len(kept) - 1)
        assert kept[0].id == control.mirror(idle).snapshot
        same = await control.diff(idle, kept[0].id, kept[0].id)
        assert (same.count, same.changes) == (0, ())

    async def test_a_manifest_is_linted_and_planned_before_it_is_in_force(self, control: Control, idle):
        good = await asyncio.to_thread(control.check, GOOD)
        assert (good.problems, good.mirror) == ((), "fresh")
        problems = (await asyncio.to_thread(control.check, WRONG)).problems
        assert {(p.line, p.where) for p in problems} >= {(1, "mirror"), (2, "source.url"), (3, "foo")}
        with pytest.raises(ConfigError, match=r"source\.url"):
            await control.plan_text(WRONG)
        assert "fresh" not in [view.name for view in control.mirrors()]

    async def test_what_changes_something_is_audited_and_heard(self, control: Control, idle):
        async with control.subscribe() as events:
            entry = await control.pause(idle, "ada")
            assert control.mirror(idle).state == "paused"
            assert "ada" in control.mirror(idle).reason
            heard = await asyncio.wait_for(_next(events, Audited), 120)
            assert (heard.mirror, heard.who, heard.what) == (idle, "ada", "pause")
        with pytest.raises(Busy, match="paused"):
            await control.sync(idle, "bob")
        await control.resume(idle, "ada")
        assert control.mirror(idle).state != "paused"
        with pytest.raises(Busy, match="no pass"):
            await control.cancel(idle, "bob")
        written = await control.audit()
        assert [(one.who, one.what) for one in written[:4]] == [
            ("bob", "cancel"),
            ("ada", "resume"),
            ("bob", "sync"),
            ("ada", "pause"),
        ]
        assert written[3] == entry
        assert written[2].outcome.startswith("refused: ")
        assert await control.audit(before=entry.id + 1, limit=1) == [entry]

    async def test_the_rest_can_be_looked_at(self, control: Control, idle):
        assert control.daemon().ready
        assert control.store().state == "online"
        assert idle in [one.mirror for one in control.scrubs()]
        assert all(0 <= one.covered <= 1 for one in control.scrubs())
        for one in control.origins():
            assert one.limit > 0
        series = control.series(idle)
        assert [one.at for one in series] == sorted(one.at for one in series)
        assert len(control.series()) <= 1000
        files = control.manifests()
        assert idle in [one.mirror for one in files]
        for file in files:
            assert file.mirror is not None or file.problems


async def _next(events, kind):
    async for event in events:
        if isinstance(event, kind):
            return event
    return None
