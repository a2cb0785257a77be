"""The page that checks the text of a manifest, and plans a pass of it."""

from aiohttp import web

from syncd.api import ApiContext, Call, check, http_error
from syncd.control import CheckView, PlanView
from syncd.core import Busy, ConfigError, PermanentError, SyncdError, TransientError
from syncd.web.rendering import site_of

STEPS = 10  # steps of each action


async def show_check(context: ApiContext, call: Call) -> web.Response:
    """Show the form that checks a manifest."""
    return await _checked(context, call, "")


async def check_text(context: ApiContext, call: Call) -> web.Response:
    """Check the text of a manifest, or plan a pass of it."""
    form = await call.request.post()
    given = form.get("text", "")
    text = given.replace("\r\n", "\n") if isinstance(given, str) else ""
    found = await check(context, text)
    if form.get("act") != "plan" or found.problems:
        return await _checked(context, call, text, found)
    context.access.admit(call.identity, "operator")  # upstream is asked, from here
    try:
        plan = await context.control.plan_text(text, limit=STEPS)
    except (Busy, ConfigError, PermanentError, TransientError) as error:
        return await _checked(context, call, text, found, failure=error)
    return await _checked(context, call, text, found, plan)


async def _checked(
    context: ApiContext, call: Call, text: str, found: CheckView | None = None, plan: PlanView | None = None,
    failure: SyncdError | None = None,
) -> web.Response:  # fmt: skip
    problems = found.problems if found is not None else ()
    return await site_of(context).render(
        context, call.request, "check.html", here="check", text=text, found=found, plan=plan,
        lines=text.rstrip("\n").split("\n") if problems else [], wrong_lines={one.line for one in problems},
        failure=http_error(failure).failure if failure is not None else None,
    )  # fmt: skip
