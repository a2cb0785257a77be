"""Zarr stores behind a server that lists nothing: both versions, with chunks that were never written."""

import json

from tests.miniatures.miniature import Miniature


class Zarr(Miniature):
    """Version 2: one array with a group below it; `files` are the chunks that were written."""

    reader = "zarr"
    at = "/store.zarr/"
    metadata = ".zmetadata"

    def begin(self):
        return {"air/0.0": b"a" * 90, "air/1.1": b"b" * 80, "deep/wind/0": b"w" * 70}

    def change(self):
        self.files |= {"air/0.1": b"c" * 60, "air/0.0": b"A" * 91}
        del self.files["air/1.1"]

    def nodes(self):
        return {
            ".zgroup": {"zarr_format": 2},
            ".zattrs": {"title": "miniature"},
            "air/.zarray": {"zarr_format": 2, "shape": [3, 4], "chunks": [2, 2], "dtype": "<f4", "fill_value": 0},
            "deep/.zgroup": {"zarr_format": 2},
            "deep/wind/.zarray": {"zarr_format": 2, "shape": [5], "chunks": [5], "dtype": "<f4", "fill_value": 0},
        }

    def written(self):
        told = {"zarr_consolidated_format": 1, "metadata": self.nodes()}
        return {key: json.dumps(node).encode() for key, node in self.nodes().items()} | {
            self.metadata: json.dumps(told).encode()
        }

    def copy(self):
        return self.files | self.written()

    def answer(self, path, query, origin):
        return self.copy().get(path.removeprefix(self.at))


class Zarr3(Zarr):
    """Version 3: chunks below `c/`, an array of no dimension, and one whose keys are written as those of version 2."""

    metadata = "zarr.json"

    @property
    def name(self):
        return "zarr-three"

    def begin(self):
        return {"air/c/0/0": b"a" * 90, "air/c/1/1": b"b" * 80, "deep/wind/0": b"w" * 70, "one/c": b"1234"}

    def change(self):
        self.files |= {"air/c/0/1": b"c" * 60, "air/c/0/0": b"A" * 91}
        del self.files["air/c/1/1"]

    def array(self, shape, chunk, encoding):
        grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "chunk_grid": grid,
            "chunk_key_encoding": encoding,
        }

    def nodes(self):
        return {
            "air": self.array([3, 4], [2, 2], {"name": "default", "configuration": {"separator": "/"}}),
            "deep": {"zarr_format": 3, "node_type": "group"},
            "deep/wind": self.array([5], [5], {"name": "v2"}),
            "one": self.array([], [], "default"),
        }

    def written(self):
        told = {"kind": "inline", "must_understand": False, "metadata": self.nodes()}
        root = {"zarr_format": 3, "node_type": "group", "consolidated_metadata": told}
        return {f"{path}/zarr.json": json.dumps(node).encode() for path, node in self.nodes().items()} | {
            self.metadata: json.dumps(root).encode()
        }
