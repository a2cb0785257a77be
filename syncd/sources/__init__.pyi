from .credential_keeper import CredentialKeeper as CredentialKeeper
from .credentialed_transport import CredentialedTransport as CredentialedTransport
from .multi_source import MultiSourceTransport as MultiSourceTransport
from .oauth import TokenBroker as TokenBroker
from .open_source import (
    EXTRAS as EXTRAS,
    Upstream as Upstream,
    open_upstream as open_upstream,
    opener as opener,
)
from .plugin_group import TRANSPORTS as TRANSPORTS
