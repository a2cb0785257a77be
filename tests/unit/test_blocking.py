"""The watch that tests/conftest.py sets over the event loop notices our own code when it blocks."""

from pathlib import Path

import pytest
from blockbuster import BlockingError

ROOT = Path(__file__).parents[2]


async def test_a_call_of_ours_that_blocks_the_loop_is_noticed():
    ours = compile("import time\ntime.sleep(0)", ROOT / "syncd" / "imagined.py", "exec")
    with pytest.raises(BlockingError):
        exec(ours, {})
