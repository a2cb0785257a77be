from .context import FaceContext as FaceContext, OnServed as OnServed, Served as Served
from .opening import open_face as open_face
from .server import RunningFace as RunningFace
