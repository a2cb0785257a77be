"""What should be there: mirror manifests, readers of upstream formats, checksums and snapshots. Pure: no I/O."""
