from .capability_probe import probe as probe
from .filesystem.store import FilesystemStore as FilesystemStore
from .identity import SENTINEL as SENTINEL
from .lease import LEASE as LEASE, Lease as Lease
from .s3.store import S3Store as S3Store
