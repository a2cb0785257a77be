"""Approvals of held losses, of which a mirror may need two, by different people."""

from collections.abc import Iterable

import msgspec

from manifests.messages import count, message
from syncd.catalogue import Catalogue

COMMAND_LINE = " (command line)"  # ends the name of a user of this machine


class Approval(msgspec.Struct, frozen=True):
    """What came of an approval: the number of approved losses, or who has approved them while others must, too."""

    number: int
    given: tuple[str, ...]
    missing: int

    @property
    def outcome(self) -> str:
        """Return the outcome for the audit log."""
        if not self.missing:
            return count(self.number, "{n} loss approved", "{n:,} losses approved")
        return message("approved by {names}: another person must approve the same losses, too", names=list(self.given))


def approve_losses(
    catalogue: Catalogue, mirror: int, needed: int, who: str, marks: Iterable[str], now: float
) -> Approval:
    """Approve the held losses in the name of a person, if enough people have; else record that this one has.

    `marks` tell the person beside the name, as the number of the user. Raises Busy if this person has approved them.
    """
    approvals = catalogue.approvals
    if needed > 1 and approvals.count_parked(mirror)[0]:
        approvals.agree(mirror, person_of(who), marks, now)
        given = approvals.agreed(mirror)
        if len(given) < needed:
            return Approval(0, tuple(given), needed - len(given))
    return Approval(approvals.approve(mirror), (), 0)


def person_of(who: str) -> str:
    """Return the name of a person, by whatever door the act came."""
    return str(who).removesuffix(COMMAND_LINE)
