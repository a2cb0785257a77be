"""The facade's contract over the daemon in memory; `tests/acceptance/test_daemon_control.py` runs it over the real one."""

import pytest

from tests.contracts.control_contract import ControlContract
from tests.fakes_control import FakeControl


class TestFakeControl(ControlContract):
    @pytest.fixture
    def control(self):
        return FakeControl()

    @pytest.fixture
    def idle(self):
        return "idle"
