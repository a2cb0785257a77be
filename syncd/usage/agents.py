"""Tells people, tools, robots and nodes apart by the User-Agent header.

Rules:
1. A tool that downloads is no robot: COUNTER's list has wget, curl and Python among robots, and would leave out nearly
   all users of a data mirror. So our own list of tools comes first, and COUNTER's decides about the rest.
2. Whether COUNTER's list has an agent is told beside it, for the counts by COUNTER's rules.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from counter_robots import is_robot

Kind = Literal["person", "tool", "node", "robot", "own"]
KINDS: tuple[Kind, ...] = ("person", "tool", "node", "robot", "own")
OTHERS: tuple[Kind, ...] = ("person", "tool", "node")
"""The kinds whose downloads are delivered to others."""
LONGEST = 256  # characters of an agent that are looked at

_TOOLS = (
    "aria2", "axel", "aws-cli", "aws-sdk", "boto3", "botocore", "s5cmd", "s3fs", "s4cmd", "minio", "rclone", "gdal",
    "wget", "libcurl", "curl", "lftp", "httrack", "python", "aiohttp", "httpx", "urllib", "okhttp", "java", "go-http",
    "reqwest", "node-fetch", "axios", "undici", "libwww-perl", "lwp", "guzzlehttp", "php", "ruby", "powershell",
    "matlab", "julia", "httr", "rstudio", "r-curl", "fsspec", "zarr", "netcdf", "oc4", "intake", "globus", "wininet",
    "transmission", "jdownloader", "internet download manager", "davfs", "cyberduck", "winscp", "filezilla",
)  # fmt: skip
_TOOL = re.compile(r"(?<![a-z])(" + "|".join(map(re.escape, _TOOLS)) + ")", re.IGNORECASE)
_BROWSERS = (("edg", "edge"), ("opr/", "opera"), ("firefox", "firefox"), ("chrom", "chrome"), ("safari", "safari"))


class UserAgent(NamedTuple):
    """A client program: its family, what it is, and whether COUNTER's list of robots has it."""

    family: str
    kind: Kind
    is_listed: bool


@lru_cache(4_096)
def agent_of(header: str) -> UserAgent:
    """Return what a User-Agent header says, as far as it is looked at."""
    return _agent(header[:LONGEST])


def _agent(header: str) -> UserAgent:
    low = header.lower()
    is_listed = is_robot(header)
    if low.startswith("syncd/"):
        return UserAgent("syncd", "node", is_listed)
    is_browser = low.startswith(("mozilla/", "opera/"))
    found = _TOOL.search(header)
    if found is not None and not (is_browser and is_listed):
        return UserAgent(found[1].lower(), "tool", is_listed)
    if is_listed and header:
        return UserAgent("robot", "robot", is_listed)
    if is_browser:
        return UserAgent(next((name for word, name in _BROWSERS if word in low), "browser"), "person", is_listed)
    return UserAgent("other", "tool", is_listed)
