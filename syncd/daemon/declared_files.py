"""Finds the manifest that declares a mirror, as the files are now."""

from syncd.config import Config, read_text_file
from syncd.daemon.manifest_watcher import ManifestFile, manifest_files


def declared_in(config: Config, mirror: str) -> str | None:
    """Return the manifest of the configuration that declares a mirror. Blocks."""
    for path in config.manifests:
        for file in manifest_files(path) if path.is_dir() else [path]:
            try:
                text = read_text_file(file).decode(errors="replace")
            except OSError:
                continue  # not there, or not readable: it declares nothing now
            if ManifestFile(str(file), text=text).declared_name == mirror:
                return str(file)
    return None
