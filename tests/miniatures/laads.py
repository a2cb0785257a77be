"""LAADS: folders of years and days that list themselves as JSON, with digests, or as CSV, without."""

from tests.miniatures.miniature import Miniature, md5


class Laads(Miniature):
    """`files` maps `<year>/<day of the year>/<name>` to bytes."""

    reader = "laads"
    at = "/archive/allData/61/MOD09GA/"

    def __init__(self, form="json", files=None):
        self.form = form
        self.keys = f"listing: {form}, datetime: 2024-01-01/.."
        super().__init__(files)

    def begin(self):
        return {
            f"2024/{day:03}/MOD09GA.A2024{day:03}.h{n:02}v06.hdf": f"{day} {n}".encode() * 99
            for day in (1, 2, 60)
            for n in (8, 9)
        }

    def change(self):
        first, second = sorted(self.files)[:2]
        self.files[first] += b"reprocessed"
        del self.files[second]
        self.files["2025/001/MOD09GA.A2025001.h08v06.hdf"] = b"a new year"

    def answer(self, path, query, origin):
        if not path.startswith(self.at.rstrip("/")):
            return None
        if path.endswith(f".{self.form}"):
            folder = path.removesuffix(f".{self.form}").removeprefix(self.at.rstrip("/")).strip("/")
            assert not folder.startswith("2023"), "that year is not wanted"
            return self.listed(f"{folder}/" if folder else "", origin)
        return self.files.get(path.removeprefix(self.at))

    def listed(self, folder, origin):
        inside: dict[str, bytes | None] = {"2023": None} if not folder else {}
        for file, body in self.files.items():
            if file.startswith(folder):
                name, slash, _ = file.removeprefix(folder).partition("/")
                inside[name] = None if slash else body
        if self.form == "csv":
            # no digests: the length is all by which a change is seen
            rows = [
                f"{name}, 2024-03-01 04:0{len(body) % 10 if body else 0}, {len(body) if body else 0}"
                for name, body in inside.items()
            ]
            return "name, last-modified, size\n" + "\n".join(rows) + "\n"
        listed = [
            {"name": name, "size": len(body) if body else 0, "mtime": 1709265840, "last-modified": "2024-03-01 04:04",
             "md5sum": md5(body) if body else "", "downloadsLink": f"{origin}{self.at}{folder}{name}" if body else ""}
            for name, body in inside.items()
        ]  # fmt: skip
        return {"content": listed}
