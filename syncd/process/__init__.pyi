from .crash_report import install as install
from .event_loop import (
    GRACE as GRACE,
    Interruptible as Interruptible,
    first_of as first_of,
    run as run,
)
from .exit_codes import (
    DONE as DONE,
    GUARDED as GUARDED,
    INTERRUPTED as INTERRUPTED,
    SOME_FAILED as SOME_FAILED,
    USAGE as USAGE,
    code_of as code_of,
)
from .gc_tuning import disable_during_imports as disable_during_imports, enable_after_imports as enable_after_imports
from .logging import (
    LEVELS as LEVELS,
    event_logger as event_logger,
    event_name as event_name,
    open_log as open_log,
    style_of as style_of,
)
from .loop_thread import loop_thread as loop_thread
from .systemd import Notifier as Notifier
