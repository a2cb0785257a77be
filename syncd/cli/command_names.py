"""The commands of syncd by name; imports nothing, so that a command need not load the others."""

COMMANDS = (
    "check",
    "survey",
    "plan",
    "apply",
    "sync",
    "run",
    "face",
    "verify",
    "status",
    "snapshots",
    "tag",
    "diff",
    "sums",
    "rollback",
    "approve",
    "reject",
    "undelete",
    "restore",
    "unpin",
    "forget",
    "rebuild",
    "probe",
    "token",
    "library",
)
"""The modules of `syncd.cli.commands`, in the order in which `syncd --help` shows their commands."""
