from .agreed_plan import AgreedPlan as AgreedPlan, read_plan as read_plan
from .ask_source import SourceAnswer as SourceAnswer, ask_source as ask_source
from .audit_anchor import (
    anchor_audit as anchor_audit,
    go_on_after_anchor as go_on_after_anchor,
    read_anchors as read_anchors,
)
from .build_plan import PlanResult as PlanResult, list_upstream as list_upstream, make_plan as make_plan
from .catch_up import caught_up as caught_up
from .content_changes import ContentComparison as ContentComparison, FileContent as FileContent, places_of as places_of
from .file_modes import is_restricted as is_restricted, use_recorded_modes as use_recorded_modes
from .forget import Holding as Holding, forget_mirror as forget_mirror, holding_of as holding_of
from .head_states import head_state as head_state
from .kept_snapshots import (
    differences as differences,
    read_bounded as read_bounded,
    shard_entries as shard_entries,
    shard_index as shard_index,
)
from .look_at_source import DocumentHead as DocumentHead, head_of as head_of, look_at_source as look_at_source
from .mirror_pass import Pass as Pass
from .narrow_paths import narrow_prefixes as narrow_prefixes
from .origin_pauses import (
    OriginPause as OriginPause,
    origin_pauses as origin_pauses,
    pause_origin as pause_origin,
    read_origin as read_origin,
)
from .pass_context import FILES as FILES, IN_FLIGHT as IN_FLIGHT, PassContext as PassContext
from .pass_paths import (
    KEY_CHAIN as KEY_CHAIN,
    PassPaths as PassPaths,
    head_path as head_path,
    shard_path as shard_path,
    snapshot_folder as snapshot_folder,
)
from .pass_progress import PassProgress as PassProgress, Speed as Speed
from .plan_file import write_plan as write_plan
from .publish import Publisher as Publisher
from .publish_head import HeadSigner as HeadSigner
from .publish_origins import read_origins as read_origins
from .publish_sums import checksum_command as checksum_command, sums_lines as sums_lines
from .quarantine import REASON as REASON, Quarantined as Quarantined, QuarantineRoom as QuarantineRoom
from .rebuild_catalogue import REBUILDING as REBUILDING, needs_rebuild as needs_rebuild, rebuild as rebuild
from .restore import (
    Restoration as Restoration,
    find_snapshot as find_snapshot,
    unknown_mirror as unknown_mirror,
    unknown_snapshot as unknown_snapshot,
)
from .roll_forward import roll_forward as roll_forward
from .selection import explain as explain
from .snapshot_hold import (
    SnapshotHold as SnapshotHold,
    hold_of as hold_of,
    hold_snapshot as hold_snapshot,
    release_hold as release_hold,
    require_no_hold as require_no_hold,
)
from .stored_digests import hash_stored as hash_stored
from .survey_cursor import forget_cursor as forget_cursor
from .survey_run import WIDTH as WIDTH
from .tagging import Tagging as Tagging
from .transfer import NotSmall as NotSmall, Transfers as Transfers, error_name as error_name
from .two_persons import Approval as Approval, approve_losses as approve_losses
from .verified_file import VerifiedFile as VerifiedFile
from .verify import Fault as Fault, Finding as Finding, Report as Report, Verification as Verification
from .worker_port import (
    GUESSED as GUESSED,
    LARGE as LARGE,
    SMALL as SMALL,
    ActiveTransfer as ActiveTransfer,
    OnTransferDone as OnTransferDone,
    Pool as Pool,
    WorkerLost as WorkerLost,
    Workers as Workers,
)
