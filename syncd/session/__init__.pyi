from .manifests import read_manifest as read_manifest
from .opening import open_session as open_session
from .peer_heads import (
    PeerCopy as PeerCopy,
    ask_peer as ask_peer,
    peer_copies as peer_copies,
    save_peer_copies as save_peer_copies,
)
from .plugin_names import names as names
from .plugins import group_id as group_id, has_store as has_store, open_store as open_store
from .preview import preview_session as preview_session
from .published import (
    listed_in as listed_in,
    published_mirrors as published_mirrors,
    refresh_listed as refresh_listed,
)
from .recorded_changes import (
    audit_configuration as audit_configuration,
    audit_withdrawal as audit_withdrawal,
    owner_of as owner_of,
    save_manifest as save_manifest,
)
from .session import VERSION as VERSION, Session as Session
from .stored_publications import StoredPublications as StoredPublications
from .usage_exports import read_dataset_report as read_dataset_report
