"""Actions of a person on a page in the browser: go, click, type, read, wait until something appears."""

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

KEYS = Keys
SOON = 120  # seconds until something must be seen


class Page:
    def __init__(self, driver, url):
        self.driver = driver
        self.url = url

    def go(self, path):
        self.driver.get(self.url + path)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector="body"):
        return " ".join(self.find(selector).text.split())

    def click(self, selector):
        self.find(selector).click()

    def type(self, selector, *keys):
        self.find(selector).send_keys(*keys)

    def press(self, *keys):
        self.driver.switch_to.active_element.send_keys(*keys)

    def run(self, script, *given):
        return self.driver.execute_script(script, *given)

    def wait(self, seen, why):
        WebDriverWait(self.driver, SOON, poll_frequency=0.02).until(lambda _: self._now(seen), why)

    def wait_for(self, selector, text=""):
        self.wait(lambda: text in self.text(selector), f"{text!r} never stood in {selector}")

    def wait_until_gone(self, selector):
        self.wait(lambda: not self.all(selector), f"{selector} never went away")

    def complaints(self):
        """What the browser has to say against the page since it was last asked."""
        return [one["message"] for one in self.driver.get_log("browser")]

    @staticmethod
    def _now(seen):
        from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException

        try:
            return seen()
        except (NoSuchElementException, StaleElementReferenceException):
            return False
