"""Records what the public side gave: takes each finished answer in a microsecond, and counts them in batches.

Rules:
1. The face never waits for it. What it cannot write it keeps, up to MOST answers, and says so once.
2. An address is in memory until its batch is counted, and never in a file.
3. A day ends by the clock, without a request too: first its key is destroyed, then its clients are counted, and what
   told them apart is deleted. If the process is killed in between, the next one goes on there.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from manifests.messages import message
from syncd.catalogue import UsageCounts, has_usage, state_error
from syncd.config import Config, Token
from syncd.core import ConfigError, Offline, SyncdError
from syncd.face import Served
from syncd.usage.agents import agent_of
from syncd.usage.clients import Clients
from syncd.usage.counting import Sent, UsageBatch, reduced
from syncd.usage.countries import read_countries
from syncd.usage.day_key import day_key, destroy_old_key
from syncd.usage.nginx_reports import NginxReports

EVERY = 2.0  # seconds between two batches
DAY = 86_400
BATCH = 20_000  # answers of one transaction
MOST = 50_000  # answers that wait while the file cannot be written

OnProblem = Callable[[BaseException], object]


class UsageRecorder:
    """Counts the answers of one process."""

    def __init__(self, config: Config, on_problem: OnProblem, *, now: Callable[[], float] = time.time) -> None:
        """`on_problem` is called, in any thread, with what keeps answers from being counted."""
        self._config, self._on_problem, self._now = config, on_problem, now
        self._clients = Clients(config.usage, config.tokens)
        self._counts: UsageCounts | None = None
        self._waiting: list[Served | Sent] = []
        self._one_at_a_time = threading.Lock()
        self._key: tuple[str, bytes] = ("", b"")
        self._countries_at: int | None = None
        self._nginx: NginxReports | None = None
        self.lost = 0
        """Answers that were not counted, since too many waited."""
        self._reported = 0

    def on_served(self, one: Served) -> None:
        """Take a finished answer."""
        if not one.mirror or one.method != "GET":
            return
        if not one.ticket:
            self._wait(one)
        elif self._nginx is not None and (sent := reduced(one, self._clients)) is not None:
            self._nginx.submit(one.ticket, sent)

    def _wait(self, one: Served | Sent) -> None:
        if len(self._waiting) < MOST:
            self._waiting.append(one)
        else:
            self.lost += 1

    def replace_tokens(self, tokens: Iterable[Token]) -> None:
        """Use the partners of a changed configuration."""
        self._clients.replace_tokens(tuple(tokens))

    def open(self) -> None:
        """Read the list of robots, and listen to nginx, if that sends (it blocks); what hinders that is told."""
        agent_of("")
        serve, path = self._config.serve, self._config.usage.nginx
        if serve is None or serve.send != "accel":
            return
        try:
            if path is None:
                raise ConfigError(
                    message(
                        "usage.nginx: is not set, so what nginx sends is not counted: name the socket that "
                        "deploy/nginx/syncd.conf reports to"
                    )
                )
            self._nginx = NginxReports(path, self._wait, self._now)
        except ConfigError as error:
            self._on_problem(error)

    async def run(self) -> None:
        """Count every EVERY seconds, until cancelled."""
        while True:
            await asyncio.to_thread(self.flush)
            await asyncio.sleep(EVERY)

    def flush(self) -> None:
        """Count what waits (it blocks); a failure is reported, and the answers wait on."""
        with self._one_at_a_time:
            self._flush()

    def _flush(self) -> None:
        taken, self._waiting = self._waiting, []
        try:
            self._look_at_countries()
            while taken:
                number = int(taken[0].at // DAY)
                others = (place for place, one in enumerate(taken[:BATCH]) if int(one.at // DAY) != number)
                size = next(others, BATCH)
                self._count(day_of(number * DAY), taken[:size])
                del taken[:size]
            self._end_day(day_of(self._now()))
            self._report_lost()
        except SyncdError as error:
            self._on_problem(error)
        except OSError as error:
            self._on_problem(state_error(error, self._config.state, "usage cannot be counted"))
        finally:
            self._clients.forget()
            self._waiting = taken + self._waiting
            if (beyond := len(self._waiting) - MOST) > 0:
                del self._waiting[:beyond]
                self.lost += beyond

    def close(self) -> None:
        """Count what waits, and close the file."""
        if self._nginx is not None:
            self._nginx.close()
        self.flush()
        if self._counts is not None:
            self._counts.close()
            self._counts = None

    def _count(self, day: str, answers: list[Served | Sent]) -> None:
        """Count answers of one day, all or none."""
        counts, today = self._opened(), day_of(self._now())
        found = (one if isinstance(one, Sent) else reduced(one, self._clients) for one in answers)
        chosen = [sent for sent in found if sent is not None]
        keyed = today if counts.day() == today else day  # what ended before midnight may be counted after it
        self._end_day(keyed)
        counts.together(partial(self._add, counts, day, keyed, today, chosen))

    def _report_lost(self) -> None:
        """Report answers that are not counted, since the last report."""
        unreported = self._nginx.lost if self._nginx is not None else 0
        lost = self.lost + unreported
        if lost > self._reported:
            number, self._reported = lost - self._reported, lost
            self._on_problem(
                Offline(
                    message(
                        "{number:,} answers are not counted in the usage: {state} could not be written for long, or "
                        "nginx reported nothing of them",
                        number=number,
                        state=self._config.state,
                    )
                )
            )

    def _add(self, counts: UsageCounts, day: str, keyed: str, today: str, chosen: list[Sent]) -> None:
        if counts.day() not in {keyed, today}:
            counts.turn(keyed)
        batch = UsageBatch(counts, day, self._key_of(keyed))
        batch.add_all(chosen)
        batch.write()

    def _end_day(self, day: str) -> None:
        """Make `day` the open one. The key of the one before ends first: nothing more is needed of it."""
        state = self._config.state
        if self._key[0] != day:
            self._key = ("", b"")
        destroyed = destroy_old_key(state, day) if state.is_dir() else False
        if self._counts is None and not has_usage(state):
            return
        counts = self._opened()
        if counts.day() in {"", day} and not destroyed:
            return

        def work() -> None:
            if counts.day() not in {"", day}:
                counts.turn(day)
            keep = timedelta(seconds=self._config.retention.usage)
            counts.forget(str(datetime.fromtimestamp(self._now(), UTC).date() - keep))

        counts.together(work)
        counts.scrub_log()

    def _key_of(self, day: str) -> bytes:
        if self._key[0] != day:
            self._key = (day, day_key(self._config.state, day))
        return self._key[1]

    def _opened(self) -> UsageCounts:
        if self._counts is None:
            self._counts = UsageCounts(self._config.state)
        return self._counts

    def _look_at_countries(self) -> None:
        """Read the file of countries again if it has changed."""
        path = self._config.usage.country_db
        if path is None:
            return
        try:
            found: int | None = path.stat().st_mtime_ns
        except OSError:
            found = -1
        if found != self._countries_at:
            self._countries_at = found
            try:
                self._clients.replace_countries(read_countries(path))
            except SyncdError as error:
                self._on_problem(error)  # the list before stays


def day_of(at: float) -> str:
    """Return the day (UTC) of a time."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _report_bug(on_problem: OnProblem, task: asyncio.Task[None]) -> None:
    """Tell a bug that has ended the counting."""
    if not task.cancelled() and (error := task.exception()) is not None:
        on_problem(error)


@asynccontextmanager
async def recording(
    config: Config, on_problem: OnProblem, *, now: Callable[[], float] = time.time
) -> AsyncIterator[UsageRecorder | None]:
    """Count within the block; None if the configuration says not to."""
    if not config.usage.enabled:
        yield None
        return
    loop = asyncio.get_running_loop()
    recorder = UsageRecorder(config, lambda error: loop.call_soon_threadsafe(on_problem, error), now=now)
    await asyncio.to_thread(recorder.open)
    task = asyncio.create_task(recorder.run())  # owned by this block
    task.add_done_callback(partial(_report_bug, on_problem))
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait([task])
        await asyncio.to_thread(recorder.close)
