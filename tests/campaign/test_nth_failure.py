"""Whatever call or request of a pass fails, nothing unproved is visible, and the next pass ends as if it had not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign import s3_requests, system_calls
from tests.campaign.system_calls import Point
from tests.servers.fixtures import unavailable

ROOT = Path(__file__).parents[2]


@pytest.mark.promise("P1", "P4")
@pytest.mark.fault(37, 38)
def test_a_sample_of_system_calls_that_fail_leaves_nothing_unproved_and_the_next_pass_completes():
    if shutil.which("strace") is None:
        unavailable("strace", "apt-get install strace")
    # a process of its own: it forks, and this one has threads
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.system_calls", "--sample", "16"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 wrong" in done.stdout


@pytest.mark.promise("P1", "P4")
@pytest.mark.fault(45)
async def test_a_sample_of_s3_requests_that_fail_leaves_nothing_unproved_and_the_next_pass_completes(swift, tmp_path):
    tried = [
        outcome
        async for outcome in s3_requests.search(swift, tmp_path / "search", lambda all_: s3_requests.sample(all_, 6))
    ]
    assert len(tried) >= 6
    assert [(str(one.request), one.wrong) for one in tried if one.wrong] == []
    # a pass has not always the same number of requests: several are under way at once
    assert sum(one.was_reached for one in tried) * 4 >= len(tried) * 3, "requests were never sent: nothing was shown"


def test_a_sample_is_spread_over_all_calls():
    points = [Point(call, "EIO", number) for call in "abc" for number in range(10)]
    assert {point.call for point in system_calls.sample(points, 6)} == {"a", "b", "c"}
    assert system_calls.sample(points, 0) == points
