from .budget import Budget as Budget, ByteBudget as ByteBudget
from .fair_share import FairShares as FairShares, FairTransport as FairTransport
from .governed_transport import GovernedTransport as GovernedTransport
from .governor import FIRST_BYTE as FIRST_BYTE, Count as Count, Governor as Governor, Governors as Governors
from .metered_store import (
    OPERATION as OPERATION,
    OPERATIONS as OPERATIONS,
    Meter as Meter,
    MeteredStore as MeteredStore,
)
from .retrying_store import RetryingStore as RetryingStore
from .retrying_transport import Policy as Policy, Retrying as Retrying
