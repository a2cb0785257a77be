"""The status page: what people see of the daemon in a browser, and the few things they may do there.

`ROUTES` names every page and the function that shows it.
"""

from typing import Any

from aiohttp import web

from syncd.api import CALLBACK, Route, schemas as a
from syncd.web import mirror_pages, visitor_pages as visitor
from syncd.web.check_page import check_text, show_check
from syncd.web.fleet_page import fleet
from syncd.web.rendering import PageRenderer
from syncd.web.usage_page import show_usage


class StatusPage(PageRenderer):
    """The templates, the sentences, the page's own files, and the routes."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every page."""
        return ROUTES

    def add_files(self, router: web.UrlDispatcher) -> None:
        """Serve style, scripts and pictures."""
        self.static.add_to(router)


def _page(method: str, path: str, name: str, does: Any, **more: Any) -> Route:
    return Route(method=method, path=path, name=name, summary="", handler=does, media="text/html", **more)


MIRROR = "/mirrors/{mirror}"

ROUTES: tuple[Route, ...] = (
    _page("GET", "/", "fleet", fleet),
    _page("GET", MIRROR, "mirror", mirror_pages.show_mirror, query=mirror_pages.DoneQuery),
    _page("POST", f"{MIRROR}/act", "act", mirror_pages.act, role="steward"),
    _page("POST", f"{MIRROR}/job", "startJob", mirror_pages.start_job, role="operator"),
    _page("POST", "/jobs/{job_id}/cancel", "cancelJobPage", mirror_pages.cancel_job, role="operator"),
    _page("GET", f"{MIRROR}/passes", "passes", mirror_pages.show_passes, query=a.PassesQuery),
    _page("GET", f"{MIRROR}/passes/{{pass_id}}", "pass", mirror_pages.show_pass, query=a.EventsQuery),
    _page("GET", f"{MIRROR}/files", "files", mirror_pages.show_files, query=mirror_pages.FolderQuery),
    _page("GET", f"{MIRROR}/file", "file", mirror_pages.show_file, query=a.EntryQuery),
    _page("GET", f"{MIRROR}/diff", "diff", mirror_pages.show_diff, query=a.DiffQuery),
    _page("GET", f"{MIRROR}/parked", "parked", mirror_pages.show_parked, query=a.PageQuery),
    _page("GET", f"{MIRROR}/rejections", "rejections", mirror_pages.show_rejections, query=a.PageQuery),
    _page("GET", "/check", "check", show_check),
    _page("POST", "/check", "checkText", check_text),
    _page("GET", "/usage", "usage", show_usage, query=a.UsageQuery),
    _page("GET", "/audit", "audit", visitor.show_audit, role="steward", query=visitor.AuditPageQuery),
    _page("GET", "/login", "login", visitor.show_login, role=None, query=visitor.BackQuery),
    _page("POST", "/login", "loginToken", visitor.login_token, role=None),
    _page("GET", "/login/provider", "beginSignIn", visitor.begin_sign_in, role=None, query=visitor.BackQuery),
    _page(
        "GET", CALLBACK, "finishSignIn", visitor.finish_sign_in, role=None, query=visitor.CallbackQuery,
        ignores_unknown=True,
    ),
    _page("POST", "/logout", "logout", visitor.logout, role=None),
    _page("GET", "/language/{language}", "language", visitor.set_language, role=None, query=visitor.BackQuery),
)  # fmt: skip
"""Every page; they are no part of the API."""
