"""The jobs of the daemon: acts that it was asked for, and what came of them. They outlast the process."""

from collections.abc import Iterable

import msgspec

from manifests.messages import pack, unpack
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import DaemonPart

_COLUMNS = "id, mirror, act, who, state, asked, began, ended, error, reason, message, code, result, starts"


class JobRow(msgspec.Struct, frozen=True):
    """One job; `act` and `result` are JSON."""

    id: int
    mirror: str
    act: bytes
    who: str
    state: str
    asked: float
    began: float | None
    ended: float | None
    error: str
    reason: str
    code: int | None
    result: bytes | None
    starts: int
    """How often it began: more than once after a kill."""


@reads_rows
class JobList(DaemonPart):
    """The jobs, the newest last."""

    def add(self, *, mirror: str, act: bytes, who: str, at: float) -> int:
        """Record a job that waits for its turn; return its id, which is larger than all before."""
        row = self._db.one(
            "INSERT INTO job (mirror, act, who, state, asked) VALUES (?,?,?,'waiting',?) RETURNING id",
            (mirror, act, who, at),
        )
        return int(row[0])

    def begin(self, job: int, at: float) -> None:
        """Record that a job begins, perhaps once more."""
        self._db.do("UPDATE job SET state='running', began=?, starts=starts+1 WHERE id=?", (at, job))

    def end(
        self,
        job: int,
        state: str,
        *,
        at: float,
        error: str = "",
        reason: str = "",
        code: int | None = None,
        result: bytes | None = None,
    ) -> None:
        """Record what came of a job."""
        self._db.do(
            "UPDATE job SET state=?, ended=?, error=?, reason=?, message=?, code=?, result=? WHERE id=?",
            (state, at, error, reason, pack(reason), code, result, job),
        )

    def get(self, job: int) -> JobRow | None:
        """Return one job."""
        return next(iter(self._read("id=?", (job,), 1)), None)

    def latest(self, before: int | None, limit: int, mirror: str = "") -> list[JobRow]:
        """Return jobs with ids below `before`, the newest first; of one mirror, or of all."""
        below = before if before is not None else 1 << 62
        if mirror:
            return self._read("id<? AND mirror=?", (below, mirror), limit)
        return self._read("id<?", (below,), limit)

    def unfinished(self) -> list[JobRow]:
        """Return the jobs that wait or run, the oldest first."""
        return self._read("state IN ('waiting','running')", (), -1)[::-1]

    def forget(self, before: float) -> int:
        """Delete jobs that ended before; return their number."""
        self._db.do("DELETE FROM job WHERE ended<?", (before,))
        return int(self._db.one("SELECT changes()")[0])

    def _read(self, where: str, values: Iterable[object], limit: int) -> list[JobRow]:
        sql = f"SELECT {_COLUMNS} FROM job WHERE {where} ORDER BY id DESC LIMIT ?"  # noqa: S608  our own words
        found = []
        for row in self._db.rows(sql, (*values, limit)):
            number, mirror, act, who, state, asked, began, ended, error, reason, packed, code, result, starts = row
            found.append(
                JobRow(number, mirror, act, who, state, asked, began, ended, error, unpack(reason, packed), code,
                       result, starts)
            )  # fmt: skip
        return found
