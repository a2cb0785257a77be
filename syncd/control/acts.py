"""What an operator can do to one mirror, as values: the API's routes, the socket and the command line share this list.

Rules:
1. An act is a value: it can be sent, recorded in a Catalogue, and carried out by another process later.
2. The daemon carries an act out as a job (`syncd.control.job_views`); without one, the command line does it itself.
3. `goes_on`: the act may be repeated, so a job that a kill cut off begins again at the next start.
"""

from typing import Annotated, Any, ClassVar, cast

import msgspec

Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4_096, description="a file of the mirror")]
Paths = Annotated[tuple[Path, ...], msgspec.Meta(min_length=1, max_length=10_000, description="files of the mirror")]
KeptSnapshot = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, description="a kept snapshot's id, its beginning, or a tag")
]


class Act(msgspec.Struct, frozen=True, kw_only=True, tag_field="act"):
    """An act on one mirror."""

    mirror: str

    summary: ClassVar[str] = ""
    """A description in one line."""
    is_long: ClassVar[bool] = False
    """True if it may take more than seconds."""
    stops_pass: ClassVar[bool] = False
    """True if a running pass is asked to stop: it publishes its proved files first."""
    uses_store: ClassVar[bool] = True
    """True if no pass of the mirror may run meanwhile."""
    waits: ClassVar[bool] = True
    """True if it waits for a running pass; False if it concerns the present losses."""
    goes_on: ClassVar[bool] = False
    """True if it may be carried out again after a kill."""

    @property
    def name(self) -> str:
        """Return its name: the command, and the last part of its route."""
        return str(type(self).__struct_config__.tag)

    @property
    def what(self) -> str:
        """Return its name in the audit log."""
        return self.name


class SyncAct(Act, frozen=True, kw_only=True, tag="sync"):
    """Run one pass, and wait for its end."""

    manifest: Annotated[str, msgspec.Meta(description="the sha256 of the manifest's text that must be in force")] = ""
    retry_failed: bool = False
    summary: ClassVar[str] = "Run one pass, and wait for its end: the result is that of `syncd sync`."
    is_long: ClassVar[bool] = True
    uses_store: ClassVar[bool] = False


class ApproveAct(Act, frozen=True, kw_only=True, tag="approve"):
    """Approve exactly the losses held now."""

    summary: ClassVar[str] = "Approve exactly the losses held now: the next pass carries them out."
    waits: ClassVar[bool] = False


class RejectAct(Act, frozen=True, kw_only=True, tag="reject"):
    """Reject exactly the losses held now, or with `undo` forget what was rejected."""

    undo: bool = False
    summary: ClassVar[str] = "Reject exactly the losses held now; with `undo`, forget what was rejected."
    waits: ClassVar[bool] = False

    @property
    def what(self) -> str:
        """Return its name in the audit log."""
        return "reject --undo" if self.undo else "reject"


class RollbackAct(Act, frozen=True, kw_only=True, tag="rollback"):
    """Return to an earlier snapshot; with `hold`, no pass undoes that until the mirror is released."""

    snapshot: KeptSnapshot
    hold: bool = False
    summary: ClassVar[str] = "Return to an earlier snapshot; with `hold`, no pass begins until release."
    is_long: ClassVar[bool] = True
    stops_pass: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True

    @property
    def what(self) -> str:
        """Return its name in the audit log."""
        return "rollback --hold" if self.hold else "rollback"


class ReleaseAct(Act, frozen=True, kw_only=True, tag="release"):
    """End the hold of a rollback: passes follow upstream again."""

    summary: ClassVar[str] = "End the hold of a rollback: passes follow upstream again."
    uses_store: ClassVar[bool] = False


class UndeleteAct(Act, frozen=True, kw_only=True, tag="undelete"):
    """Restore deleted files, and keep them although upstream deleted them."""

    paths: Paths
    summary: ClassVar[str] = "Restore deleted files, and keep them although upstream deleted them."
    is_long: ClassVar[bool] = True
    stops_pass: ClassVar[bool] = True


class RestoreAct(Act, frozen=True, kw_only=True, tag="restore"):
    """Restore files as an earlier snapshot has them, and keep them so."""

    paths: Paths
    snapshot: KeptSnapshot
    summary: ClassVar[str] = "Restore files as a kept snapshot has them, and keep them so until they are unpinned."
    is_long: ClassVar[bool] = True
    stops_pass: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True


class UnpinAct(Act, frozen=True, kw_only=True, tag="unpin"):
    """Release restored files: the next pass follows upstream again."""

    paths: Paths
    summary: ClassVar[str] = "Release restored files: the next pass follows upstream again."


class TagAct(Act, frozen=True, kw_only=True, tag="tag"):
    """Name a kept snapshot: it is kept with its bytes until the tag is removed."""

    snapshot: KeptSnapshot
    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=128, description="the name")]
    summary: ClassVar[str] = "Name a kept snapshot: it is kept with its bytes until the tag is removed."


class UntagAct(Act, frozen=True, kw_only=True, tag="untag"):
    """Remove a tag: its snapshot is kept as long as any other."""

    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=128, description="the name")]
    summary: ClassVar[str] = "Remove a tag: its snapshot is kept as long as any other."


class VerifyAct(Act, frozen=True, kw_only=True, tag="verify"):
    """Compare the stored files with their records."""

    read_data: bool = False
    repair: bool = False
    summary: ClassVar[str] = (
        "Compare the stored files with their records; with `read_data` every byte, with `repair` mend what differs."
    )
    is_long: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True


class RebuildAct(Act, frozen=True, kw_only=True, tag="rebuild"):
    """Rebuild the records of the mirror from the store."""

    summary: ClassVar[str] = "Rebuild the records of the mirror from the store; downloads nothing."
    is_long: ClassVar[bool] = True
    stops_pass: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True


class ForgetAct(Act, frozen=True, kw_only=True, tag="forget"):
    """Delete the records of the mirror, and with `bytes` its files."""

    confirm: Annotated[str, msgspec.Meta(description="the name of the mirror, once more")]
    bytes: bool = False
    summary: ClassVar[str] = "Delete the records of a mirror whose manifest was withdrawn; with `bytes`, its files too."
    is_long: ClassVar[bool] = True
    stops_pass: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True

    @property
    def what(self) -> str:
        """Return its name in the audit log."""
        return "forget --bytes" if self.bytes else "forget"


class RetryAct(Act, frozen=True, kw_only=True, tag="retry"):
    """Request single failed files again at once."""

    paths: Paths
    summary: ClassVar[str] = "Request files that failed to download again, in a pass that begins at once."


class ResetAct(Act, frozen=True, kw_only=True, tag="reset"):
    """Forget how far changes of upstream were read."""

    summary: ClassVar[str] = "Forget how far upstream's changes were read: the next pass reads the whole listing."


ACTS: tuple[type[Act], ...] = (
    SyncAct,
    ApproveAct,
    RejectAct,
    RollbackAct,
    ReleaseAct,
    UndeleteAct,
    RestoreAct,
    UnpinAct,
    TagAct,
    UntagAct,
    VerifyAct,
    RebuildAct,
    ForgetAct,
    RetryAct,
    ResetAct,
)
"""Every act, in the order of the documentation."""

_AnyAct = (
    SyncAct
    | ApproveAct
    | RejectAct
    | RollbackAct
    | ReleaseAct
    | UndeleteAct
    | RestoreAct
    | UnpinAct
    | TagAct
    | UntagAct
    | VerifyAct
    | RebuildAct
    | ForgetAct
    | RetryAct
    | ResetAct
)
_any = msgspec.json.Decoder(_AnyAct)


def tag_of(kind: type[Act]) -> str:
    """Return the name of a kind of act."""
    return str(kind.__struct_config__.tag)


def act_of(text: str | bytes) -> Act:
    """Return the act that was written as JSON. Raises msgspec.ValidationError."""
    return cast("Act", _any.decode(text))


def act_from(values: dict[str, Any]) -> Act:
    """Return the act that a form describes: the values of its arguments are texts. Raises msgspec.ValidationError."""
    return cast("Act", msgspec.convert(values, _AnyAct, strict=False))


def arguments_of(act: Act) -> dict[str, Any]:
    """Return what an act was given, besides its mirror."""
    return {name: value for name, value in msgspec.structs.asdict(act).items() if name != "mirror"}
