"""One browser for all tests of a worker; a daemon in memory for each."""

import urllib.parse
import urllib.request

import pytest

from tests.api.conftest import NOW, OPERATOR
from tests.api.threaded_server import served_in_thread
from tests.browser import chromium
from tests.browser.page_actions import Page
from tests.fakes_control import FakeControl
from tests.servers.fixtures import unavailable


@pytest.fixture(scope="session")
def driver():
    if missing := chromium.missing():
        unavailable("Chromium", f"apt-get install chromium chromium-driver ({', '.join(missing)} not found)")
    with chromium.opened() as found:
        yield found


@pytest.fixture
def daemon():
    with served_in_thread(FakeControl(NOW)) as found:
        yield found


@pytest.fixture
def page(driver, daemon):
    """A page in the browser, not logged in."""
    chromium.look(driver)
    driver.get_log("browser")
    seen = Page(driver, daemon.url)
    yield seen
    driver.get("about:blank")
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


@pytest.fixture
def operator(page, daemon):
    """The page as an operator sees it: logged in, with the cookie that a login gives."""
    page.go("/livez")
    form = urllib.parse.urlencode({"token": OPERATOR}).encode()
    asked = urllib.request.Request(f"{daemon.url}/login", form, {"Origin": daemon.url})
    with urllib.request.build_opener(Stay).open(asked) as answer:
        name, _, value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
    page.driver.add_cookie({"name": name, "value": value, "httpOnly": True, "sameSite": "Strict", "path": "/"})
    return page


class Stay(urllib.request.HTTPErrorProcessor):
    """Follows no redirect, so that the cookie that comes with one is seen."""

    def http_response(self, request, response):
        return response
