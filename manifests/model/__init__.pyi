from .about import About as About, Day as Day
from .completion import Completion as Completion, Settle as Settle
from .field_types import (
    AtLeastOne as AtLeastOne,
    Count as Count,
    Duration as Duration,
    Flag as Flag,
    Glob as Glob,
    PathBelow as PathBelow,
    Rate as Rate,
    Share as Share,
    Size as Size,
    like as like,
)
from .globs import GlobUse as GlobUse, everything as everything, matcher as matcher
from .mirror import (
    MARK as MARK,
    Keep as Keep,
    ManifestError as ManifestError,
    ManifestProblem as ManifestProblem,
    Mirror as Mirror,
    Schedule as Schedule,
    Source as Source,
    Verify as Verify,
    load_mirror as load_mirror,
    overlaps as overlaps,
    unfilled as unfilled,
)
from .publish import (
    Creator as Creator,
    Identifier as Identifier,
    LocalText as LocalText,
    Publish as Publish,
)
from .units import (
    format_duration as format_duration,
    format_rate as format_rate,
    format_size as format_size,
    parse_duration as parse_duration,
    parse_rate as parse_rate,
    parse_size as parse_size,
)
