"""Who acts on a running daemon, or on the command line: a name, and the door by which the act came."""

from typing import Literal, Self

Door = Literal["", "cli", "api", "page", "socket", "daemon"]
"""cli: a command that works by itself. api: a token in a header. page: a person who is signed in. socket: a command
that asks the daemon over its socket. daemon: the daemon by itself. "": not recorded."""


class Actor(str):
    """The name that the audit log shows; it also keeps the door, the user's number and which token was sent."""

    __slots__ = ("door", "token", "uid")
    door: Door
    uid: int | None
    """The number of the user of this machine; None if it is not known."""
    token: str
    """What tells tokens of one name apart, and reveals neither them nor their hashes; "" without a token."""

    def __new__(cls, name: str, door: Door = "", *, uid: int | None = None, token: str = "") -> Self:
        """Keep the name, and where it comes from."""
        self = super().__new__(cls, name)
        self.door, self.uid, self.token = door, uid, token
        return self

    @property
    def details(self) -> dict[str, str]:
        """Return what the audit log keeps beside the name."""
        given = {"uid": "" if self.uid is None else str(self.uid), "token": self.token}
        return {key: value for key, value in given.items() if value}

    @property
    def marks(self) -> list[str]:
        """Return what tells a person beside the name: who has one of them is the same person."""
        return [f"{key}:{value}" for key, value in self.details.items()]

    def __str__(self) -> str:
        """Return the name alone."""
        return str.__getitem__(self, slice(None))

    def __getnewargs_ex__(self) -> tuple[tuple[str, Door], dict[str, object]]:
        """Return the arguments that make a copy."""
        return (str(self), self.door), {"uid": self.uid, "token": self.token}


def actor_of(who: str) -> Actor:
    """Return who acts; a name alone says nothing of the door."""
    return who if isinstance(who, Actor) else Actor(who)
