"""`syncd probe`: tests the capabilities of a store."""

from typing import TYPE_CHECKING

from manifests.messages import plain
from syncd.cli import output
from syncd.cli.registration import command

if TYPE_CHECKING:
    from syncd.cli.context import CommandContext


@command("syncd probe --store s3://mirror/ --endpoint https://s3.example.org")
async def probe(context: "CommandContext") -> int:
    """Test what the store can do, and whether that is enough."""
    import msgspec

    from syncd.cli.acting import ask_whom
    from syncd.process import DONE, SOME_FAILED
    from syncd.session import open_store
    from syncd.stores import probe as probe_store

    if await ask_whom(context) is not None:  # the daemon's own store is not disturbed by another connection
        store = open_store(context.config.store, network=await context.network())
        try:
            capabilities = await probe_store(store)
        finally:
            await store.aclose()
    else:
        async with context.open_session(context.report) as session:
            capabilities = await probe_store(session.store)
            session.catalogue.settings.set("capabilities", msgspec.json.encode(capabilities, enc_hook=plain).decode())
    if context.json:
        output.print_json(capabilities)
    else:
        output.table(("", "check", "result"), capabilities.lines())
    return DONE if capabilities.good_enough else SOME_FAILED
