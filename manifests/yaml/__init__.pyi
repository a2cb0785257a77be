from .parse import MAX_BYTES as MAX_BYTES
from .validation import (
    STRICT as STRICT,
    Advice as Advice,
    KeyConflict as KeyConflict,
    again as again,
    keys as keys,
    load as load,
    nearest as nearest,
    unknown as unknown,
    unknown_key as unknown_key,
    validated as validated,
)
from .yaml_tree import ManifestError as ManifestError, ManifestProblem as ManifestProblem, Path as Path
