"""The metric set: every family that syncd exposes, with its kind, its labels, what it says and how it is read.

Rules:
1. A label is one of LABELS and never a file, a url or a person. `mirror`, `origin` and `credential` are bounded by
   MOST: what is over it is folded into `other`, and `syncd_metric_label_overflow` says how many are. All other labels
   are closed lists, which begin at 0.
2. Times are timestamps, not ages: a daemon that died keeps growing older. Units are the base units.
3. docs/metrics.md is written from here: `python -m syncd.metrics`.
"""

from dataclasses import dataclass
from typing import Literal

from syncd.control import STATES
from syncd.wrappers import FIRST_BYTE, OPERATION, OPERATIONS

Kind = Literal["counter", "gauge", "histogram"]
Fold = Literal["sum", "min", "max"]
Part = Literal["daemon", "freshness", "work", "transfers", "origins", "integrity", "store"]

OTHER = "other"
MOST = {"mirror": 200, "origin": 500, "credential": 100}
LABELS: dict[str, str] = {
    "mirror": "the name of a mirror in force",
    "origin": "an upstream origin that was asked, as `https://host:port` or `s3://bucket`",
    "credential": "the name of a credential of the configuration",
    "store": "the store's url or folder, as configured",
    "outcome": "how it ended",
    "error": "the kind of a failure, by its name in `syncd.core.errors`",
    "reason": "why",
    "state": "one of the states, of which exactly one is 1",
    "finding": "what a scrub found wrong",
    "operation": "what was asked of the store",
    "label": "the name of a label",
    "version": "the version of syncd",
    "python": "the version of Python",
}

DURATION = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
SIZE = tuple(float(1 << power) for power in (10, 14, 18, 22, 26, 30, 34))
LAG = (60, 300, 900, 3600, 10800, 21600, 86400, 259200, 604800)
LOOP = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

TRANSFER_OUTCOMES = ("fetched", "replaced", "failed", "quarantined")
PASS_OUTCOMES = ("complete", "incomplete", "failed")
TRANSFER_ERRORS = (
    "Changed", "Denied", "Interrupted", "Mismatch", "NotFound", "Refused", "Stalled", "TooLarge", "Unreachable",
    "Unsafe", OTHER,
)  # fmt: skip
RETRY_ERRORS = ("Interrupted", "Offline", "Refused", "Stalled", "Unreachable", OTHER)
PASS_ERRORS = ("Damaged", "Denied", "NoSpace", "Offline", "Refused", "Unreachable", OTHER)
WASTE = ("changed", "mismatch", "failed")
FINDINGS = ("missing", "size", "digest", "unreadable", OTHER)
REQUESTS = ("answered", "refused", "failed")
THROTTLES = ("asked", "rate")
STORE_OUTCOMES = ("done", "failed")
MANIFESTS = ("in_force", "rejected")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `choices` are the values of its labels that are closed lists; `fold` joins what overflows."""

    name: str
    kind: Kind
    part: Part
    help: str
    labels: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    fold: Fold = "sum"


def _of_mirror(
    name: str, kind: Kind, part: Part, says: str, *more: str, choices: tuple[str, ...] = (), fold: Fold = "sum"
) -> Family:
    return Family(name, kind, part, says, ("mirror", *more), choices, fold=fold)


# -- the daemon -------------------------------------------------------------------------------------------------------

BUILD = Family("syncd_build_info", "gauge", "daemon", "1, with the versions as labels", ("version", "python"))
READY = Family("syncd_ready", "gauge", "daemon", "1 while the daemon works, 0 while it starts or stops")
PASSES_RUNNING = Family("syncd_passes_running", "gauge", "daemon", "passes under way")
PASSES_WAITING = Family("syncd_passes_waiting", "gauge", "daemon", "passes that are due and wait for their turn")
INFLIGHT_BYTES = Family("syncd_inflight_bytes", "gauge", "daemon", "bytes of memory taken by transfers under way")
RELOADED = Family(
    "syncd_config_last_reload_successful", "gauge", "daemon", "1 if syncd.yaml was good when it was last read, else 0"
)
RELOADED_AT = Family(
    "syncd_config_last_reload_success_timestamp_seconds", "gauge", "daemon", "when syncd.yaml was last read and good"
)
MANIFEST_FILES = Family(
    "syncd_manifests", "gauge", "daemon", "manifest files: in force, or rejected for what is wrong in them",
    ("state",), MANIFESTS,
)  # fmt: skip
MANIFESTS_REJECTED = Family(
    "syncd_manifest_rejected_total", "counter", "daemon", "manifests that were read and found wrong"
)
CLOCK_STEPS = Family("syncd_clock_steps_total", "counter", "daemon", "steps of the wall clock that were noticed")
BACKUP_AT = Family(
    "syncd_catalogue_backup_timestamp_seconds",
    "gauge",
    "daemon",
    "when the Catalogue was last backed up into the store",
)
BACKUPS_FAILED = Family(
    "syncd_catalogue_backup_failures_total", "counter", "daemon", "backups of the Catalogue that did not succeed"
)
LOOP_LAG = Family(
    "syncd_event_loop_lag_seconds", "histogram", "daemon",
    "how late the event loop ran what was due; over 0.1 s everything is slow", bounds=LOOP,
)  # fmt: skip
OVERFLOW = Family(
    "syncd_metric_label_overflow", "gauge", "daemon", "values of a label that are counted under `other`", ("label",),
    tuple(MOST),
)  # fmt: skip

# -- freshness --------------------------------------------------------------------------------------------------------

STATE = _of_mirror("syncd_mirror_state", "gauge", "freshness", "1 for the mirror's state", "state", choices=STATES)
SUCCEEDED = _of_mirror(
    "syncd_mirror_last_success_timestamp_seconds", "gauge", "freshness",
    "when the last complete pass ended; absent until there was one", fold="min",
)  # fmt: skip
ATTEMPTED = _of_mirror(
    "syncd_mirror_last_attempt_timestamp_seconds", "gauge", "freshness", "when the last pass began", fold="min"
)
NEXT_RUN = _of_mirror(
    "syncd_mirror_next_run_timestamp_seconds", "gauge", "freshness", "when the next pass is due; absent on demand",
    fold="min",
)  # fmt: skip
OBJECTIVE = _of_mirror(
    "syncd_mirror_freshness_objective_seconds", "gauge", "freshness",
    "the last success should never be older; absent for mirrors on demand", fold="min",
)  # fmt: skip
UPSTREAM_NEWEST = _of_mirror(
    "syncd_mirror_upstream_newest_timestamp_seconds", "gauge", "freshness",
    "when upstream published the newest file that we began to fetch since we started; absent until there was one",
    fold="max",
)  # fmt: skip
LOCAL_NEWEST = _of_mirror(
    "syncd_mirror_local_newest_timestamp_seconds", "gauge", "freshness",
    "when upstream published the newest file that we published since we started; absent until there was one",
    fold="max",
)  # fmt: skip
PUBLICATION_LAG = Family(
    "syncd_mirror_publication_lag_seconds", "histogram", "freshness",
    "from upstream's publication of a file to ours; a first copy of an old archive counts as its age",
    ("mirror",), bounds=LAG,
)  # fmt: skip
MIRROR_FILES = _of_mirror("syncd_mirror_files", "gauge", "freshness", "files of the current snapshot")
MIRROR_BYTES = _of_mirror("syncd_mirror_bytes", "gauge", "freshness", "bytes of the current snapshot")
PUBLISHED = _of_mirror(
    "syncd_mirror_snapshots_published_total", "counter", "freshness", "snapshots that differed from the one before"
)

# -- work -------------------------------------------------------------------------------------------------------------

PENDING_FILES = _of_mirror("syncd_pending_files", "gauge", "work", "files planned and not yet fetched")
PENDING_BYTES = _of_mirror(
    "syncd_pending_bytes", "gauge", "work", "bytes planned and not yet fetched, as far as upstream gives sizes"
)
PENDING_SINCE = _of_mirror(
    "syncd_pending_since_timestamp_seconds", "gauge", "work",
    "since when files have been waiting without a complete pass (or since we started); absent while none do",
    fold="min",
)  # fmt: skip
INFLIGHT_FILES = _of_mirror("syncd_inflight_files", "gauge", "work", "files on their way")
PARKED_FILES = _of_mirror("syncd_parked_files", "gauge", "work", "removals that wait for an operator's approval")
PARKED_BYTES = _of_mirror("syncd_parked_bytes", "gauge", "work", "bytes of the removals that wait")
FAILED_FILES = _of_mirror("syncd_failed_files", "gauge", "work", "files that could not be had in the last pass")
PASSES = _of_mirror(
    "syncd_passes_total", "counter", "work",
    "passes that ended: complete, incomplete (published what could be had), failed (source or store away)",
    "outcome", choices=PASS_OUTCOMES,
)  # fmt: skip
PASS_FAILURES = _of_mirror(
    "syncd_pass_errors_total", "counter", "work", "failures that ended a pass, by kind", "error", choices=PASS_ERRORS
)
DOCUMENTS_FAILED = _of_mirror(
    "syncd_survey_documents_failed_total", "counter", "work", "documents of upstream that could not be read"
)

# -- transfers --------------------------------------------------------------------------------------------------------

TRANSFERS = _of_mirror(
    "syncd_transfers_total", "counter", "transfers",
    "files: fetched or replaced (proved and stored), failed, or quarantined (not what was promised)",
    "outcome", choices=TRANSFER_OUTCOMES,
)  # fmt: skip
FAILURES = _of_mirror(
    "syncd_transfer_errors_total", "counter", "transfers", "files that could not be had, by kind of failure", "error",
    choices=TRANSFER_ERRORS,
)  # fmt: skip
RETRIES = Family(
    "syncd_transfer_retries_total", "counter", "transfers", "tries that failed and were followed by another",
    ("error",), RETRY_ERRORS,
)  # fmt: skip
DURATIONS = Family(
    "syncd_transfer_duration_seconds", "histogram", "transfers", "from the beginning of a transfer to its proof",
    bounds=DURATION,
)  # fmt: skip
SIZES = Family(
    "syncd_transfer_size_bytes", "histogram", "transfers", "sizes of the files that were stored", bounds=SIZE
)
RECEIVED = _of_mirror(
    "syncd_received_bytes_total",
    "counter",
    "transfers",
    "bytes of files that arrived, those that came twice counted twice",
)
STORED = _of_mirror("syncd_stored_bytes_total", "counter", "transfers", "bytes of files that were proved and stored")
WASTED = _of_mirror(
    "syncd_wasted_bytes_total", "counter", "transfers",
    "bytes that arrived for nothing: the file changed under way, did not match, or could not be had in the end",
    "reason", choices=WASTE,
)  # fmt: skip

# -- origins and network ----------------------------------------------------------------------------------------------

ORIGIN_REQUESTS = Family(
    "syncd_origin_requests_total", "counter", "origins",
    "requests: answered, refused (429, 503, a reset, Retry-After) or failed otherwise", ("origin", "outcome"), REQUESTS,
)  # fmt: skip
ORIGIN_BYTES = Family(
    "syncd_origin_received_bytes_total", "counter", "origins", "bytes of bodies that came from an origin, lists too",
    ("origin",),
)  # fmt: skip
ORIGIN_THROTTLED = Family(
    "syncd_origin_throttled_seconds_total", "counter", "origins",
    "seconds that requests spent waiting: asked (upstream's Retry-After) or rate (our own limit); many wait at once",
    ("origin", "reason"), THROTTLES,
)  # fmt: skip
ORIGIN_FIRST_BYTE = Family(
    "syncd_origin_first_byte_seconds", "histogram", "origins", "from a request to the beginning of its answer",
    ("origin",), bounds=FIRST_BYTE,
)  # fmt: skip
ORIGIN_LIMIT = Family(
    "syncd_origin_concurrency_limit", "gauge", "origins", "requests at once that the governor allows now", ("origin",)
)
ORIGIN_ACTIVE = Family("syncd_origin_requests_active", "gauge", "origins", "requests under way", ("origin",))
ORIGIN_WAITING = Family(
    "syncd_origin_requests_waiting", "gauge", "origins", "requests that wait for a slot", ("origin",)
)
ORIGIN_CLOSED = Family(
    "syncd_origin_closed", "gauge", "origins", "1 while upstream has asked us to come back later", ("origin",)
)
CERTIFICATE = Family(
    "syncd_origin_certificate_expiry_timestamp_seconds", "gauge", "origins",
    "when the certificate that an origin showed us last is no longer valid", ("origin",), fold="min",
)  # fmt: skip
CREDENTIAL = Family(
    "syncd_credential_expiry_timestamp_seconds", "gauge", "origins",
    "when a credential is no longer valid; absent for those that do not say", ("credential",), fold="min",
)  # fmt: skip

# -- integrity --------------------------------------------------------------------------------------------------------

SCRUBBED_BYTES = _of_mirror(
    "syncd_scrub_bytes_total", "counter", "integrity", "stored bytes that were read again and good"
)
SCRUBBED_FILES = _of_mirror(
    "syncd_scrub_files_total", "counter", "integrity", "stored files that were read again and good"
)
DAMAGED = _of_mirror(
    "syncd_scrub_errors_total", "counter", "integrity", "stored files that were found damaged or missing", "finding",
    choices=FINDINGS,
)  # fmt: skip
MENDED = _of_mirror(
    "syncd_healed_files_total", "counter", "integrity", "damaged files that were replaced by proved bytes"
)
FAULTS = _of_mirror(
    "syncd_faulty_files", "gauge", "integrity", "files found damaged or missing in the store and not mended yet"
)
QUARANTINED = _of_mirror("syncd_quarantined_files", "gauge", "integrity", "files kept aside with the reason")
OLDEST_PROOF = _of_mirror(
    "syncd_scrub_oldest_verified_timestamp_seconds", "gauge", "integrity",
    "when the stored byte that was not read for longest was last proved", fold="min",
)  # fmt: skip
SCRUB_WITHIN = _of_mirror(
    "syncd_scrub_objective_seconds", "gauge", "integrity", "every stored byte is to be read again within so long",
    fold="min",
)  # fmt: skip
SCRUB_COVERED = _of_mirror(
    "syncd_scrub_covered_ratio",
    "gauge",
    "integrity",
    "share of the files that were read within the objective",
    fold="min",
)

# -- the store --------------------------------------------------------------------------------------------------------

STORE_ONLINE = Family(
    "syncd_store_online", "gauge", "store", "1 if the store answers and is the one we know", ("store",)
)
STORE_FULL = Family("syncd_store_full", "gauge", "store", "1 while intake pauses for want of room", ("store",))
STORE_FREE = Family(
    "syncd_store_free_bytes", "gauge", "store", "bytes left for us; absent where a store has no such number", ("store",)
)
STORE_OPERATIONS = Family(
    "syncd_store_operations_total", "counter", "store",
    "operations on the store: done, or failed; that something is not there is no failure",
    ("operation", "outcome"), STORE_OUTCOMES,
)  # fmt: skip
STORE_SECONDS = Family(
    "syncd_store_operation_seconds", "histogram", "store", "how long operations on the store took",
    ("operation",), OPERATIONS, OPERATION,
)  # fmt: skip

ALL: tuple[Family, ...] = tuple(value for value in globals().copy().values() if isinstance(value, Family))
