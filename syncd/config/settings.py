"""Settings of the daemon in syncd.yaml: budgets, retention of its records, fixity checks, backups, the log."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from manifests.model import Count, Duration, Flag, Rate, Share, Size
from manifests.yaml import STRICT

_DAY = 86_400.0


def _default_text(default: str) -> Any:
    return {"default": default}


class BudgetSettings(BaseModel):
    """Limits that all passes share; docs/operating.md has the formula for memory."""

    model_config = STRICT

    passes: Annotated[Count, Field(ge=1, le=1_000)] = 16
    """The maximum number of concurrent passes; if one waits too long, the longest-running one yields."""
    memory: Annotated[Size, Field(ge=16 << 20)] = Field(default=512 << 20, json_schema_extra=_default_text("512 MiB"))
    """The maximum number of bytes of transfers in memory; a file of unknown size counts as 512 KiB."""
    files: Annotated[Count, Field(ge=8, le=100_000)] = 384
    """The maximum number of concurrent file transfers."""
    connections: Annotated[Count, Field(ge=4, le=10_000)] = 256
    """The maximum number of concurrent requests to upstreams."""
    keep_free: Annotated[Size, Field(ge=0)] = Field(default=1 << 30, json_schema_extra=_default_text("1 GiB"))
    """Space to leave free on the disks of the store and of the state; with less, no pass starts."""


class ScrubSettings(BaseModel):
    """The fixity check; each manifest's `verify.scrub` says how often."""

    model_config = STRICT

    enabled: Flag = True
    """Whether the fixity check runs."""
    rate: Rate = Field(default=50_000_000, json_schema_extra=_default_text("50 MB/s"))
    """The maximum read rate; usually far less is needed."""
    mend: Flag = True
    """Whether damage is repaired from kept versions and from upstream."""


class RetentionSettings(BaseModel):
    """How long the daemon keeps its records and the quarantine."""

    model_config = STRICT

    passes: Duration = Field(default=400 * _DAY, json_schema_extra=_default_text("400d"))
    """The history of passes; the last ten of each mirror are always kept."""
    events: Duration = Field(default=60 * _DAY, json_schema_extra=_default_text("60d"))
    """The events of each pass."""
    audit: Duration = Field(default=730 * _DAY, json_schema_extra=_default_text("730d"))
    """The audit log: who changed what."""
    usage: Duration = Field(default=3_660 * _DAY, json_schema_extra=_default_text("3660d"))
    """The counts of usage, by day."""
    quarantine: Duration = Field(default=30 * _DAY, json_schema_extra=_default_text("30d"))
    """Files that failed verification."""
    quarantine_share: Share = Field(default=0.1, json_schema_extra=_default_text("10 %"))
    """The most that the quarantine may take of the store; beyond it, the oldest copies go first."""


class ReuseSettings(BaseModel):
    """Files whose content the store holds already are copied there, and not downloaded again."""

    model_config = STRICT

    enabled: Flag = True
    """Whether held content is looked for."""
    min_size: Annotated[Size, Field(ge=0)] = Field(default=0, json_schema_extra=_default_text("0 B"))
    """The least size of a file that is indexed; the index takes up to 60 bytes for each such file."""


class ControlSettings(BaseModel):
    """The socket `control.sock` in the state folder: commands of this machine ask the running daemon there."""

    model_config = STRICT

    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$")] | None = None
    """The group of users that may do so, without a token, besides the user of the service; else the service's group."""


class BackupSettings(BaseModel):
    """Copies of the Catalogue in the store, under `.syncd/backup/`."""

    model_config = STRICT

    every: Duration = Field(default=_DAY, json_schema_extra=_default_text("1d"))
    """The interval between two backups."""
    keep: Annotated[Count, Field(ge=0, le=1_000)] = 7
    """How many backups are kept; 0 makes none."""


class LogSettings(BaseModel):
    """The log, which the daemon writes to standard error."""

    model_config = STRICT

    format: Literal["auto", "json", "console"] = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is written."""
