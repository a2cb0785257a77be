from .actor import Actor as Actor, Door as Door, actor_of as actor_of
from .node_copies import CopyRole as CopyRole, CopyView as CopyView
from .port import Control as Control
from .usage_views import (
    FEW as FEW,
    UNKNOWN as UNKNOWN,
    InstrumentHours as InstrumentHours,
    SavedView as SavedView,
    UsageBy as UsageBy,
    UsageFigures as UsageFigures,
    UsageReport as UsageReport,
    UsageRow as UsageRow,
)
from .views import (
    STATES as STATES,
    AboutView as AboutView,
    ChangeView as ChangeView,
    CheckView as CheckView,
    DaemonView as DaemonView,
    DiffView as DiffView,
    EntryView as EntryView,
    Health as Health,
    ManifestView as ManifestView,
    MirrorView as MirrorView,
    OriginView as OriginView,
    ParkedView as ParkedView,
    PlanView as PlanView,
    ProblemView as ProblemView,
    ProgressView as ProgressView,
    QuarantineView as QuarantineView,
    Sample as Sample,
    ScrubView as ScrubView,
    SnapshotView as SnapshotView,
    State as State,
    StepView as StepView,
    StoreView as StoreView,
    TransferView as TransferView,
    VerdictView as VerdictView,
)
