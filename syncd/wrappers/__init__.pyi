from .absence import LONGEST_ABSENCE as LONGEST_ABSENCE
from .base import TransportWrapper as TransportWrapper
from .derived_file_transport import DerivedFileTransport as DerivedFileTransport
from .failover_transport import PLACES as PLACES, FailoverTransport as FailoverTransport
from .fair_share import FairShares as FairShares, OriginShare as OriginShare, alone as alone
from .fenced_store import FencedStore as FencedStore
from .governed_transport import OnAbsence as OnAbsence, ignore_absence as ignore_absence
from .governor import Governor as Governor, urgent as urgent
from .governors import Governors as Governors
from .halting import stopping as stopping
from .metered_store import (
    OPERATION as OPERATION,
    OPERATIONS as OPERATIONS,
    Meter as Meter,
)
from .origin_count import FIRST_BYTE as FIRST_BYTE, Count as Count
from .retry_policy import OnRetry as OnRetry, Policy as Policy, ignore_retry as ignore_retry, retrying as retrying
from .retrying_store import RetryingStore as RetryingStore
from .stack import stack_store as stack_store, stack_transport as stack_transport
