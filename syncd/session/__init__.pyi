from .plugins import names as names, open_store as open_store
from .session import (
    HASHERS as HASHERS,
    VERSION as VERSION,
    Session as Session,
    hold_lease as hold_lease,
    open_session as open_session,
    read_manifest as read_manifest,
)
