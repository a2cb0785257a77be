"""The metric set: every family that syncd exposes, with its kind, labels and help.

Rules:
1. A label is one of LABELS and never a file, a url or a person. `mirror`, `origin` and `credential` are bounded by
   MOST: further values are counted under `other`, and `syncd_metric_label_overflow` is their number. All other labels
   are closed lists, which begin at 0.
2. Times are timestamps, not ages, so that ages keep growing if the daemon dies. Units are the base units.
3. docs/metrics.md is written from here: `python -m syncd.metrics`.
"""

from dataclasses import dataclass
from typing import Literal

from syncd.control import STATES
from syncd.wrappers import FIRST_BYTE, OPERATION, OPERATIONS

Kind = Literal["counter", "gauge", "histogram"]
Fold = Literal["sum", "min", "max"]
Part = Literal["daemon", "freshness", "work", "transfers", "origins", "integrity", "store", "sharing"]

OTHER = "other"
MOST = {"mirror": 200, "origin": 500, "credential": 100}
LABELS: dict[str, str] = {
    "mirror": "the name of a mirror in force",
    "origin": "the origin of an upstream, as `https://host:port` or `s3://bucket`",
    "credential": "the name of a credential of the configuration",
    "store": "the store's url or folder, as configured",
    "outcome": "the result",
    "error": "the kind of a failure, by its name in `syncd.core.errors`",
    "reason": "why",
    "state": "one of the states, of which exactly one is 1",
    "verdict": "verified by a checksum that upstream publishes, or attested by its size alone",
    "finding": "the kind of damage that the fixity check found",
    "operation": "the operation on the store",
    "label": "the name of a label",
    "kind": "the kind of a client: person, tool, node, robot, or own",
    "status": "the status of an answer: 499 broke off",
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
    "Archived", "Changed", "Denied", "Interrupted", "Mismatch", "NotFound", "Refused", "Stalled", "TooLarge",
    "Unreachable", "Unsafe", OTHER,
)  # fmt: skip
RETRY_ERRORS = ("Interrupted", "Offline", "Refused", "Stalled", "Unreachable", OTHER)
PASS_ERRORS = ("Damaged", "Denied", "NoSpace", "Offline", "Refused", "Unreachable", OTHER)
WASTE = ("changed", "mismatch", "failed")
FINDINGS = ("missing", "size", "digest", "unreadable", OTHER)
REQUESTS = ("answered", "refused", "failed")
THROTTLES = ("asked", "rate")
STORE_OUTCOMES = ("done", "failed")
MANIFESTS = ("in_force", "rejected")
CLIENTS = ("person", "tool", "node", "robot", "own")
ANSWERS = ("200", "206", "302", "304", "401", "403", "404", "410", "412", "416", "429", "499", "500", "503", OTHER)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `choices` are the values of closed labels; `fold` merges values beyond the bound."""

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
READY = Family("syncd_ready", "gauge", "daemon", "1 while the daemon is running, 0 while it starts or stops")
PASSES_RUNNING = Family("syncd_passes_running", "gauge", "daemon", "running passes")
PASSES_WAITING = Family("syncd_passes_waiting", "gauge", "daemon", "passes that are due and waiting")
INFLIGHT_BYTES = Family("syncd_inflight_bytes", "gauge", "daemon", "bytes of memory in use by running transfers")
RELOADED = Family(
    "syncd_config_last_reload_successful", "gauge", "daemon", "1 if syncd.yaml was valid when it was last read, else 0"
)
RELOADED_AT = Family(
    "syncd_config_last_reload_success_timestamp_seconds", "gauge", "daemon", "when a valid syncd.yaml was last read"
)
MANIFEST_FILES = Family(
    "syncd_manifests", "gauge", "daemon", "manifest files: in force, or rejected because of errors",
    ("state",), MANIFESTS,
)  # fmt: skip
MANIFESTS_REJECTED = Family(
    "syncd_manifest_rejected_total", "counter", "daemon", "manifests that were read and rejected"
)
CLOCK_STEPS = Family("syncd_clock_steps_total", "counter", "daemon", "detected jumps of the wall clock")
CATALOGUE_BYTES = Family(
    "syncd_catalogue_bytes", "gauge", "daemon",
    "size of the daemon's own file of the Catalogue; each mirror has a file, too (syncd_mirror_catalogue_bytes)",
)  # fmt: skip
INDEX_BYTES = Family("syncd_held_index_bytes", "gauge", "daemon", "size of the index of held content")
STATE_FREE = Family("syncd_state_free_bytes", "gauge", "daemon", "free bytes of the disk of the state folder")
BACKUP_AT = Family(
    "syncd_catalogue_backup_timestamp_seconds",
    "gauge",
    "daemon",
    "when the Catalogue was last backed up to the store",
)
BACKUPS_FAILED = Family("syncd_catalogue_backup_failures_total", "counter", "daemon", "failed backups of the Catalogue")
LOOP_LAG = Family(
    "syncd_event_loop_lag_seconds", "histogram", "daemon",
    "delay of the event loop of the passes; over 0.1 s they are slow (the API has a loop of its own)", bounds=LOOP,
)  # fmt: skip
OVERFLOW = Family(
    "syncd_metric_label_overflow", "gauge", "daemon", "values of a label that are counted under `other`", ("label",),
    tuple(MOST),
)  # fmt: skip

# -- freshness --------------------------------------------------------------------------------------------------------

STATE = _of_mirror(
    "syncd_mirror_state", "gauge", "freshness", "1 for the current state of the mirror", "state", choices=STATES
)
SUCCEEDED = _of_mirror(
    "syncd_mirror_last_success_timestamp_seconds", "gauge", "freshness",
    "when the last complete pass ended; absent before the first", fold="min",
)  # fmt: skip
ATTEMPTED = _of_mirror(
    "syncd_mirror_last_attempt_timestamp_seconds", "gauge", "freshness", "when the last pass began", fold="min"
)
NEXT_RUN = _of_mirror(
    "syncd_mirror_next_run_timestamp_seconds", "gauge", "freshness",
    "when the next pass is due; absent for mirrors on demand",
    fold="min",
)  # fmt: skip
OBJECTIVE = _of_mirror(
    "syncd_mirror_freshness_objective_seconds", "gauge", "freshness",
    "the freshness target: the last complete pass should not be older; absent for mirrors on demand", fold="min",
)  # fmt: skip
UPSTREAM_NEWEST = _of_mirror(
    "syncd_mirror_upstream_newest_timestamp_seconds", "gauge", "freshness",
    "when upstream published the newest file whose transfer began since the daemon's start; absent before the first",
    fold="max",
)  # fmt: skip
LOCAL_NEWEST = _of_mirror(
    "syncd_mirror_local_newest_timestamp_seconds", "gauge", "freshness",
    "when upstream published the newest file that syncd published since the daemon's start; absent before the first",
    fold="max",
)  # fmt: skip
PUBLICATION_LAG = Family(
    "syncd_mirror_publication_lag_seconds", "histogram", "freshness",
    "time from upstream's publication of a file to syncd's; in the first copy of an old archive, the files' age",
    ("mirror",), bounds=LAG,
)  # fmt: skip
MIRROR_FILES = _of_mirror(
    "syncd_mirror_files", "gauge", "freshness",
    "files of the current copy: verified by a checksum that upstream publishes, or attested by their size alone",
    "verdict", choices=("verified", "attested"),
)  # fmt: skip
MIRROR_BYTES = _of_mirror("syncd_mirror_bytes", "gauge", "freshness", "bytes of the current snapshot")
MIRROR_CATALOGUE = _of_mirror(
    "syncd_mirror_catalogue_bytes", "gauge", "freshness",
    "size of the mirror's file of the Catalogue, with its log and the plan of a running pass",
)  # fmt: skip
PUBLISHED = _of_mirror("syncd_mirror_snapshots_published_total", "counter", "freshness", "new snapshots")

# -- work -------------------------------------------------------------------------------------------------------------

PENDING_FILES = _of_mirror("syncd_pending_files", "gauge", "work", "planned files that are not yet transferred")
PENDING_BYTES = _of_mirror(
    "syncd_pending_bytes", "gauge", "work", "planned bytes that are not yet transferred, as far as upstream gives sizes"
)
PENDING_SINCE = _of_mirror(
    "syncd_pending_since_timestamp_seconds", "gauge", "work",
    "since when files have been waiting without a complete pass, at most since the daemon's start; absent if none wait",
    fold="min",
)  # fmt: skip
INFLIGHT_FILES = _of_mirror("syncd_inflight_files", "gauge", "work", "files in transfer")
PARKED_FILES = _of_mirror(
    "syncd_parked_files",
    "gauge",
    "work",
    "losses that are held for approval: deletions, and replacements that lose bytes",
)
PARKED_BYTES = _of_mirror("syncd_parked_bytes", "gauge", "work", "bytes of the files whose loss is held for approval")
FAILED_FILES = _of_mirror("syncd_failed_files", "gauge", "work", "files that failed to download in the last pass")
UNSETTLED_FILES = _of_mirror(
    "syncd_unsettled_files", "gauge", "work", "files that wait because upstream may still be writing them"
)
PASSES = _of_mirror(
    "syncd_passes_total", "counter", "work",
    "passes that ended: complete, incomplete (published the available files), failed (source or store unavailable)",
    "outcome", choices=PASS_OUTCOMES,
)  # fmt: skip
PASS_FAILURES = _of_mirror(
    "syncd_pass_errors_total", "counter", "work", "failures that ended a pass, by kind", "error", choices=PASS_ERRORS
)
DOCUMENTS_FAILED = _of_mirror(
    "syncd_survey_documents_failed_total", "counter", "work", "upstream's documents that could not be read"
)

# -- transfers --------------------------------------------------------------------------------------------------------

TRANSFERS = _of_mirror(
    "syncd_transfers_total", "counter", "transfers",
    "files: fetched or replaced (verified and stored), failed, or quarantined (failed verification)",
    "outcome", choices=TRANSFER_OUTCOMES,
)  # fmt: skip
FAILURES = _of_mirror(
    "syncd_transfer_errors_total", "counter", "transfers", "files that failed to download, by kind of failure", "error",
    choices=TRANSFER_ERRORS,
)  # fmt: skip
RETRIES = Family(
    "syncd_transfer_retries_total", "counter", "transfers", "failed attempts that were retried",
    ("error",), RETRY_ERRORS,
)  # fmt: skip
DURATIONS = Family(
    "syncd_transfer_duration_seconds", "histogram", "transfers",
    "time from the start of a transfer to its verification",
    bounds=DURATION,
)  # fmt: skip
SIZES = Family("syncd_transfer_size_bytes", "histogram", "transfers", "sizes of stored files", bounds=SIZE)
RECEIVED = _of_mirror(
    "syncd_received_bytes_total",
    "counter",
    "transfers",
    "received bytes of files; bytes received twice count twice",
)
STORED = _of_mirror("syncd_stored_bytes_total", "counter", "transfers", "bytes of files that were verified and stored")
COPIED_FILES = _of_mirror(
    "syncd_copied_files_total",
    "counter",
    "transfers",
    "files that were not downloaded: the store held their content, and they were copied there and verified",
)
COPIED_BYTES = _of_mirror("syncd_copied_bytes_total", "counter", "transfers", "bytes of the files that were copied")
WASTED = _of_mirror(
    "syncd_wasted_bytes_total", "counter", "transfers",
    "received bytes that were discarded: the file changed meanwhile, failed verification, or failed to download",
    "reason", choices=WASTE,
)  # fmt: skip

# -- origins and network ----------------------------------------------------------------------------------------------

ORIGIN_REQUESTS = Family(
    "syncd_origin_requests_total", "counter", "origins",
    "requests: answered, refused (429, 503, a reset, Retry-After) or failed for other reasons",
    ("origin", "outcome"), REQUESTS,
)  # fmt: skip
ORIGIN_BYTES = Family(
    "syncd_origin_received_bytes_total", "counter", "origins",
    "bytes of bodies that were received from an origin, including listings",
    ("origin",),
)  # fmt: skip
ORIGIN_THROTTLED = Family(
    "syncd_origin_throttled_seconds_total", "counter", "origins",
    "seconds that requests spent waiting, summed: asked (upstream's Retry-After) or rate (syncd's own limit)",
    ("origin", "reason"), THROTTLES,
)  # fmt: skip
ORIGIN_FIRST_BYTE = Family(
    "syncd_origin_first_byte_seconds", "histogram", "origins", "time from a request to the first byte of its answer",
    ("origin",), bounds=FIRST_BYTE,
)  # fmt: skip
ORIGIN_LIMIT = Family(
    "syncd_origin_concurrency_limit",
    "gauge",
    "origins",
    "concurrent requests that the governor allows now",
    ("origin",),
)
ORIGIN_ACTIVE = Family("syncd_origin_requests_active", "gauge", "origins", "running requests", ("origin",))
ORIGIN_WAITING = Family(
    "syncd_origin_requests_waiting", "gauge", "origins", "requests that are waiting for a slot", ("origin",)
)
ORIGIN_CLOSED = Family(
    "syncd_origin_closed", "gauge", "origins", "1 while upstream has asked syncd to wait (Retry-After)", ("origin",)
)
CERTIFICATE = Family(
    "syncd_origin_certificate_expiry_timestamp_seconds", "gauge", "origins",
    "when the certificate that an origin presented last expires", ("origin",), fold="min",
)  # fmt: skip
CREDENTIAL = Family(
    "syncd_credential_expiry_timestamp_seconds", "gauge", "origins",
    "when a credential expires; absent if unknown", ("credential",), fold="min",
)  # fmt: skip

# -- integrity --------------------------------------------------------------------------------------------------------

SCRUBBED_BYTES = _of_mirror(
    "syncd_scrub_bytes_total", "counter", "integrity", "stored bytes that passed the fixity check"
)
SCRUBBED_FILES = _of_mirror(
    "syncd_scrub_files_total", "counter", "integrity", "stored files that passed the fixity check"
)
DAMAGED = _of_mirror(
    "syncd_scrub_errors_total", "counter", "integrity",
    "stored files that the fixity check found damaged or missing", "finding",
    choices=FINDINGS,
)  # fmt: skip
MENDED = _of_mirror(
    "syncd_healed_files_total", "counter", "integrity", "damaged files that were replaced by verified bytes"
)
FAULTS = _of_mirror(
    "syncd_faulty_files", "gauge", "integrity", "files that are damaged or missing in the store, and not repaired yet"
)
QUARANTINED = _of_mirror(
    "syncd_quarantined_files", "gauge", "integrity", "files in the quarantine, which failed verification"
)
OLDEST_PROOF = _of_mirror(
    "syncd_scrub_oldest_verified_timestamp_seconds", "gauge", "integrity",
    "when the stored byte with the oldest fixity check was last verified", fold="min",
)  # fmt: skip
SCRUB_WITHIN = _of_mirror(
    "syncd_scrub_objective_seconds", "gauge", "integrity",
    "the target interval of the fixity check: every stored byte should be read again within it",
    fold="min",
)  # fmt: skip
SCRUB_COVERED = _of_mirror(
    "syncd_scrub_covered_ratio",
    "gauge",
    "integrity",
    "share of the files that were read within the target interval",
    fold="min",
)

# -- the store --------------------------------------------------------------------------------------------------------

STORE_ONLINE = Family(
    "syncd_store_online", "gauge", "store", "1 if the store answers and is the expected one", ("store",)
)
STORE_FULL = Family("syncd_store_full", "gauge", "store", "1 while transfers pause because space is low", ("store",))
STORE_FREE = Family(
    "syncd_store_free_bytes", "gauge", "store", "free bytes; absent if the store reports none", ("store",)
)
STORE_OPERATIONS = Family(
    "syncd_store_operations_total", "counter", "store",
    "operations on the store: done, or failed; an object that does not exist is not a failure",
    ("operation", "outcome"), STORE_OUTCOMES,
)  # fmt: skip
STORE_SECONDS = Family(
    "syncd_store_operation_seconds", "histogram", "store", "duration of operations on the store",
    ("operation",), OPERATIONS, OPERATION,
)  # fmt: skip

# -- sharing ----------------------------------------------------------------------------------------------------------

SERVED_BYTES = _of_mirror(
    "syncd_served_bytes_total", "counter", "sharing",
    "bytes of answers about a published mirror, by kind of client, since counting began: restarts do not reset it",
    "kind", choices=CLIENTS,
)  # fmt: skip
SERVED_REQUESTS = _of_mirror(
    "syncd_served_requests_total", "counter", "sharing",
    "answers to GET about a published mirror, since counting began; the pieces of one download are many",
    "kind", "status", choices=ANSWERS,
)  # fmt: skip

ALL: tuple[Family, ...] = tuple(value for value in globals().copy().values() if isinstance(value, Family))
