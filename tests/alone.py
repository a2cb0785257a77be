"""Runs the few tests that failed beside others once more, alone: `make test` starts it when its run failed.

    python -m tests.alone STATUS COMMAND...    STATUS is what that run returned, COMMAND is how pytest starts

What fails again fails the run. What passes is named in NAMED, which `make test` prints last.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

MOST = 3  # tests; where more failed, a busy machine is not why
SOME_FAILED = "1"  # with any other status, pytest did not come to its end
FAILED = Path(".pytest_cache/v/cache/lastfailed")
NAMED = Path(".cache/failed-beside-others")


def failed() -> list[str]:
    """Return the names of the tests that failed; xdist adds their groups."""
    names = json.loads(FAILED.read_text("utf-8")) if FAILED.exists() else {}
    return sorted({re.sub(r"@[^\]]*$", "", name) for name in names})


def main(status: str, *command: str) -> int:
    """Return the status of the whole run."""
    names = failed()
    if status != SOME_FAILED or not 0 < len(names) <= MOST:
        return int(status)
    print(f"\nonce more, alone: {' '.join(names)}", flush=True)
    done = subprocess.run([*command, "-n", "0", *names], check=False)
    if done.returncode == 0:
        said = (
            f"failed beside others, passed alone: {' '.join(names)} – a defect of the test or of the program: mend it"
        )
        NAMED.parent.mkdir(exist_ok=True)
        NAMED.write_text(f"\n{'!' * 80}\n{said}\n{'!' * 80}\n", "utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
