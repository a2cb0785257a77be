from .background_reader import BackgroundReader as BackgroundReader
from .catalogue import Catalogue as Catalogue
from .claims import Claims as Claims
from .database import Database as Database, replace_catalogue as replace_catalogue
from .history import (
    FailedFile as FailedFile,
    History as History,
    Inflight as Inflight,
    MirrorRow as MirrorRow,
    Swap as Swap,
    moved_from as moved_from,
)
from .holdings import ArchivedVersion as ArchivedVersion, Holdings as Holdings, RemovedFile as RemovedFile
from .pass_history import (
    AuditRow as AuditRow,
    DamagedFile as DamagedFile,
    EventRow as EventRow,
    PassHistory as PassHistory,
    PassRow as PassRow,
    QuarantinedFile as QuarantinedFile,
)
from .survey_frontier import SurveyFrontier as SurveyFrontier
