from .approvals import Approvals as Approvals, Decisions as Decisions, RejectedFile as RejectedFile
from .audit_append import append_audit_entry as append_audit_entry
from .audit_log import AuditLog as AuditLog, contradicting as contradicting
from .background_reader import BackgroundReader as BackgroundReader
from .catalogue import Catalogue as Catalogue, copy_mirror as copy_mirror
from .catalogue_settings import CatalogueSettings as CatalogueSettings
from .changed_files import ChangedFile as ChangedFile, ChangedFiles as ChangedFiles
from .claims import Claims as Claims
from .damage import suppress_damage as suppress_damage
from .database import Database as Database
from .deferred_files import fingerprint as fingerprint
from .doubts import Doubts as Doubts
from .failed_files import FailedFiles as FailedFiles
from .file_findings import DamagedFile as DamagedFile, QuarantinedFile as QuarantinedFile
from .held_index import (
    HeldIndex as HeldIndex,
    LocalCopy as LocalCopy,
    Run as Run,
    begins_run as begins_run,
    claim_key as claim_key,
    digest_key as digest_key,
)
from .history import History as History
from .holdings import (
    IN_PLACE as IN_PLACE,
    ArchivedVersion as ArchivedVersion,
    Holdings as Holdings,
    RemovedFile as RemovedFile,
    VerdictCount as VerdictCount,
)
from .inflight import Inflight as Inflight
from .interrupted import interrupted_mirrors as interrupted_mirrors, is_interrupted as is_interrupted
from .job_list import JobList as JobList, JobRow as JobRow
from .mirror_list import MirrorRow as MirrorRow, moved_from as moved_from
from .mode_progress import MODES as MODES, ModeProgress as ModeProgress, mode_progress as mode_progress
from .pass_history import PassHistory as PassHistory
from .prefixes import overlap as overlap
from .publications import (
    Publications as Publications,
    PublishedSpan as PublishedSpan,
    Tombstone as Tombstone,
)
from .published_files import (
    CurrentFile as CurrentFile,
    PublishedFiles as PublishedFiles,
    StoredPlaces as StoredPlaces,
)
from .restorations import Restorations as Restorations
from .signing_documents import SigningDocuments as SigningDocuments
from .staged_files import SAME_BYTES as SAME_BYTES, StagedFiles as StagedFiles
from .state_folder import (
    FileSizes as FileSizes,
    file_sizes as file_sizes,
    has_catalogue as has_catalogue,
    replace_catalogue as replace_catalogue,
    state_error as state_error,
)
from .stored_content import HeldBytes as HeldBytes, StoredContent as StoredContent
from .survey_frontier import SurveyFrontier as SurveyFrontier
from .unsettled_files import UnsettledFile as UnsettledFile, UnsettledFiles as UnsettledFiles
from .usage_counts import (
    CellKey as CellKey,
    ClientCount as ClientCount,
    OpenDownload as OpenDownload,
    ServedTotal as ServedTotal,
    UsageCell as UsageCell,
    UsageCounts as UsageCounts,
    has_usage as has_usage,
)
from .work_journal import Swap as Swap, WorkJournal as WorkJournal
