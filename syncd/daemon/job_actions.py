"""What people ask of the daemon's jobs."""

from syncd.control import Act, JobView
from syncd.daemon.control_base import ControlBase

LONGEST_WAIT = 60.0  # seconds for which an answer may wait for the end of a job


class JobActions(ControlBase):
    """The jobs of the daemon, for operators."""

    async def perform(self, act: Act, who: str) -> JobView:
        """Start a job that carries out an act."""
        return self._jobs.start(act, who)

    async def jobs(self, name: str = "", *, before: int | None = None, limit: int = 50) -> list[JobView]:
        """Return jobs of one mirror, or of all, the newest first."""
        return self._jobs.latest(name, before, limit)

    async def job(self, number: int, *, wait: float = 0.0) -> JobView:
        """Return one job, after its end or after `wait` seconds."""
        return await self._jobs.wait(number, min(wait, LONGEST_WAIT))

    async def cancel_job(self, number: int, who: str) -> JobView:
        """Stop a job."""
        return self._jobs.cancel(number, who)
