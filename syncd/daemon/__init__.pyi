from . import queries as queries, service as service
from .backup import restore_backup as restore_backup
from .declared_files import declared_in as declared_in
from .manifest_watcher import ManifestFile as ManifestFile, manifest_files as manifest_files
