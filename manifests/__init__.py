"""What should be there: mirror manifests, readers of upstream formats, digests and snapshots. Pure: no I/O."""
