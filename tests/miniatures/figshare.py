"""Figshare: files ten to a page whatever is asked for, a link that is no file, downloads at another path."""

from tests.miniatures.miniature import Miniature, md5

ARTICLE = "5616409"


class Figshare(Miniature):
    """One article of more files than fit on a page."""

    reader = "figshare"
    at = "/v2/"
    keys = f'articles: ["{ARTICLE}"]'

    def begin(self):
        return {f"plot {n:02}.csv": f"plot {n}\n".encode() for n in range(23)}

    def answer(self, path, query, origin):
        order = sorted(self.files)
        if path == f"/v2/articles/{ARTICLE}/files":
            begin = (int(query["page"]) - 1) * 10
            link = {
                "id": 1,
                "name": "Our site",
                "is_link_only": True,
                "download_url": "https://elsewhere.example/",
                "size": 0,
            }
            return [self.file(name, origin) for name in order[begin : begin + 10]] + ([link] if begin == 0 else [])
        return self.files[order[int(path.rpartition("/")[2])]] if path.startswith("/ndownloader/") else None

    def file(self, name, origin):
        number, content = sorted(self.files).index(name), self.files[name]
        return {
            "id": number, "name": name, "size": len(content), "is_link_only": False, "supplied_md5": "",
            "download_url": f"{origin}/ndownloader/{number}", "computed_md5": md5(content), "mimetype": "text/csv",
        }  # fmt: skip
