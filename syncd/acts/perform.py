"""Carries out an act: the one place where a kind of act is matched with what does it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from syncd.acts import deciding, forgetting, rebuilding, restoring, verifying
from syncd.acts.act_context import ActContext
from syncd.control import (
    Act,
    ActResult,
    ApproveAct,
    ForgetAct,
    RebuildAct,
    RejectAct,
    ReleaseAct,
    ResetAct,
    RestoreAct,
    RetryAct,
    RollbackAct,
    TagAct,
    UndeleteAct,
    UnpinAct,
    UntagAct,
    VerifyAct,
)

_PERFORMERS: Mapping[type[Act], Callable[[Any, ActContext], Awaitable[ActResult]]] = {
    ApproveAct: deciding.approve,
    RejectAct: deciding.reject,
    RollbackAct: restoring.rollback,
    ReleaseAct: restoring.release,
    UndeleteAct: restoring.undelete,
    RestoreAct: restoring.restore,
    UnpinAct: deciding.unpin,
    TagAct: deciding.tag,
    UntagAct: deciding.untag,
    VerifyAct: verifying.verify,
    RebuildAct: rebuilding.rebuild,
    ForgetAct: forgetting.forget,
    RetryAct: deciding.retry,
    ResetAct: deciding.reset,
}


async def perform(act: Act, context: ActContext) -> ActResult:
    """Carry out an act, and return what came of it; no pass of its mirror may run meanwhile.

    Raises SyncdError. An act that a kill cut off may be carried out again if it `goes_on`.
    """
    return await _PERFORMERS[type(act)](act, context)
