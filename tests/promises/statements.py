"""The ten promises and the 48 faults that syncd survives, in the words of a reader."""

PROMISES = {
    "P1": (
        "Verified or invisible",
        "No file is visible under its final name before its size and each published checksum matched and it is durable.",
    ),
    "P2": (
        "Durable before done",
        "A file is recorded as done only after it is durable: file and folder synced, or verified by the object store.",
    ),
    "P3": (
        "Published once",
        "A file may be transferred twice; it is published once, by the one writer that holds the lease of the store.",
    ),
    "P4": (
        "Interruptible anywhere",
        "After a kill or a power cut at any moment the next run completes, without manual work and without leftovers.",
    ),
    "P5": (
        "A bad listing deletes nothing",
        "An empty, failed, truncated or shrunken listing never deletes; large deletions wait for approval.",
    ),
    "P6": (
        "Changed files are new versions",
        "A file that changes upstream is a new version: the old one is kept, and two versions are never mixed.",
    ),
    "P7": (
        "Stored bytes are read again",
        "Every stored byte is read again in time; damage is reported, and repaired from a named source.",
    ),
    "P8": (
        "Signed history",
        "Snapshots form a signed chain, in which rollback, freeze and gaps are detected.",
    ),
    "P9": (
        "Bounded in everything",
        "Memory, disk, sockets, logs and metric labels are bounded, whatever upstream sends.",
    ),
    "P10": (
        "Secrets stay with their origin",
        "A secret goes only to the origin it was configured for, and never into logs, metrics, manifests or errors.",
    ),
}
"""By name: the promise in a few words, and in a sentence."""

FAULTS = {
    1: ("A body is shorter than announced", "resumed where it broke, if the version is certain"),
    2: ("A body without a length is cut", "size and checksum decide; else it is attested only"),
    3: ("A chunked body is cut or invalid", "an error, and a new try"),
    4: ("More bytes come than announced", "rejected; the connection is not used again"),
    5: ("Contradictory, broken or huge headers", "rejected; the origin is left alone for a while"),
    6: ("A body without end", "stopped just past the expected size"),
    7: ("A body of one byte now and then", "stopped below a minimum of progress"),
    8: ("Hanging connects, handshakes, answers", "a timeout for each; none while bytes arrive"),
    9: ("A reset in the middle", "resumed with Range and If-Range"),
    10: ("Upstream ignores Range", "the whole is never appended to a part"),
    11: ("A part of another range or total", "rejected"),
    12: ("A file changes while it is read", "started again; two versions are never mixed"),
    13: ("Other content under the same name", "a new version; the old one is kept"),
    14: ("An answer is compressed unasked", "decompressed within limits, unless the file is stored so"),
    15: ("Archives and answers that explode", "never unpacked without a bound"),
    16: ("XML bombs, entities, DTDs", "rejected before they grow"),
    17: ("JSON and YAML bombs, absurd numbers", "bounded and rejected"),
    18: ("Listings with loops and foreign links", "only children count; depth and number bounded"),
    19: ("Paths that lead elsewhere", "rejected one by one; links are not followed"),
    20: ("A file and a folder of one name", "the file is kept, what lies below it is rejected"),
    21: ("Redirect loops, downgrades, other schemes", "rejected"),
    22: ("Redirects to another origin", "no credential, cookie or header goes along"),
    23: ("Redirects to private addresses", "rejected when the socket is made"),
    24: ("429 and 503 with Retry-After", "waited for, up to a cap, once for each origin"),
    25: ("A login or token expires", "renewed once; upstream is not hammered"),
    26: ("A listed file is not there (404)", "reported; the copy we hold stays"),
    27: ("A login page instead of data", "recognised, quarantined, never published"),
    28: ("Certificates that prove nothing", "no data and no password is sent"),
    29: ("No address, or a dead one among several", "the next address is tried; else a clear error"),
    30: ("A listing is empty or incomplete", "nothing is deleted; the pass is not complete"),
    31: ("Upstream deletes very many files", "held for approval"),
    32: ("A snapshot is rolled back or forged", "its head is refused: nothing is published or removed"),
    33: ("Weak or contradictory checksums", "all must match; ours are added"),
    34: ("Checksums that fail again and again", "quarantined; all other files arrive"),
    35: ("Two sources differ, no checksum decides", "never mixed; the order of the sources decides"),
    36: ("The disk is full", "intake stops; the next run completes"),
    37: ("An error appears only at fsync", "the file failed; a sync is never repeated"),
    38: ("The system writes less than asked", "written to the end"),
    39: ("The store is unmounted or read-only", "store unavailable; never taken for empty"),
    40: ("Kill and stop at any step", "the next run goes on; a stale writer is stopped"),
    41: ("Power cut", "what is said to be done is on the disk"),
    42: ("The catalogue is lost or damaged", "rejected with the way out; rebuilt from the store"),
    43: ("Two daemons on one store", "the second is rejected"),
    44: ("Clocks that are wrong or step", "told; nothing is lost or held up"),
    45: ("S3 errors and lost answers", "looked up before anything is repeated"),
    46: ("S3 servers that verify nothing", "probed; read back where they do not verify"),
    47: ("Leftover uploads and temporary files", "found and removed after a grace period"),
    48: ("Names that command terminals or labels", "escaped; no file name is a label"),
}
"""By number: what comes, and what syncd does."""

NOT_YET: set[str | int] = set()
"""Promised for a later version; no test may claim to hold them."""
