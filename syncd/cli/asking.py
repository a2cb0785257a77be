"""`syncd check --ask`: what the sources of checked manifests answer, asked once and within bounds."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from manifests.messages import plain
from manifests.model import Mirror
from syncd.cli import output
from syncd.cli.context import CommandContext, temporary_folder
from syncd.core import SyncdError
from syncd.engine import SourceAnswer, ask_source, error_name, explain
from syncd.process import DONE, GUARDED, SOME_FAILED, code_of, run
from syncd.session import Session


def ask_sources(mirrors: Sequence[Mirror], context: CommandContext, report: "Report") -> int:
    """Ask the source of each mirror, report each answer, and return the exit code. Creates no store and no state."""
    return run(lambda: _ask_all(context, mirrors, report))


async def _ask_all(context: CommandContext, mirrors: Sequence[Mirror], report: "Report") -> int:
    worst = DONE
    async with asking_session(context) as session:
        for mirror in mirrors:
            worst = max(worst, await _ask(session, mirror, report))
    return worst


@asynccontextmanager
async def asking_session(context: CommandContext) -> AsyncIterator[Session]:
    """Open a session with a store and a state of its own: answers do not depend on the mirrors that exist."""
    async with temporary_folder() as folder:
        store = context.config.store.model_copy(update={"url": f"{folder}/store", "endpoint": None})
        asking = msgspec.structs.replace(context, config=context.config.model_copy(update={"store": store}))
        async with asking.preview_session(lambda _event: None) as session:
            yield session


async def _ask(session: Session, mirror: Mirror, report: "Report") -> int:
    try:
        async with session.pass_context(mirror) as context:
            row = session.catalogue.history.ensure_row(mirror)
            answer = await ask_source(context, row)
    except SyncdError as error:
        secret_free = session.secrets.redact(str(error))
        report({"mirror": mirror.name, "error": error_name(error), "reason": secret_free}, [f"failed: {secret_free}"])
        return code_of(error)
    nothing = mirror.guard.refuses(answer.files) if not answer.failed else None
    report(
        {**msgspec.to_builtins(answer, enc_hook=plain), "nothing_found": nothing or "", "error": "", "reason": ""},
        _lines(mirror, answer, nothing),
    )
    if answer.failed or answer.denied:
        return SOME_FAILED
    return GUARDED if nothing is not None else SOME_FAILED if answer.unmatched else DONE


def _lines(mirror: Mirror, answer: SourceAnswer, nothing: str | None) -> list[str]:
    """Return what the source answered, for people."""
    more = ", and has more than was asked for" if answer.is_bounded else ""
    lines = [f"the source answers: {output.files(answer.files)} that the mirror would copy{more}"]
    if nothing is not None:
        lines.append(f"{nothing}: a pass would change nothing: check source.url and include")
    among = f" among the first {output.files(answer.files)}" if answer.is_bounded else ""
    lines += [f"warning: {explain(one)}{among}" for one in answer.unmatched]
    lines += [f"failed to read: {url}: {reason}" for url, reason in answer.failed]
    if answer.denied:
        credential = mirror.source.credentials
        hint = f"check the credential {credential}" if credential else "does it need source.credentials?"
        lines.append(f"the files cannot be downloaded: {answer.denied}: {hint}")
    return lines


Report = Callable[[dict[str, Any], list[str]], None]
"""Called with what a source answered, as JSON and in lines for people."""
