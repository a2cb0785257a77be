from .sidecar import sidecar_digests as sidecar_digests
