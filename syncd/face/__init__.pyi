from .asked import OnServed as OnServed, Served as Served
from .context import FaceContext as FaceContext
from .listed import read_listed as read_listed, write_listed as write_listed
from .opening import open_face as open_face
from .publications import node_of as node_of, read_publication as read_publication
from .server import RunningFace as RunningFace
