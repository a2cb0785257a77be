"""Writes docs/metrics.md: `python -m syncd.metrics > docs/metrics.md`."""

import sys

from syncd.metrics.page import page

sys.stdout.write(page())
