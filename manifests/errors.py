"""The error for an invalid value in a file that a person wrote: the fault, and a remedy."""

from manifests.messages import message


class InvalidValue(ValueError):
    """An invalid value: `what` describes the fault, `todo` says what to write instead."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(message("{what}: {todo}", what=what, todo=todo))
        self.what = what
        self.todo = todo
