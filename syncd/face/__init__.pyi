from .asked import OnServed as OnServed, Served as Served
from .context import FaceContext as FaceContext
from .opening import open_face as open_face
from .server import RunningFace as RunningFace
