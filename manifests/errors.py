"""The one way in which the pure half says that something a person wrote cannot stand: what is wrong, and what to do."""


class InvalidValue(ValueError):
    """A value that cannot be used; `what` is wrong and `todo` says what to write instead."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(f"{what}: {todo}")
        self.what = what
        self.todo = todo
