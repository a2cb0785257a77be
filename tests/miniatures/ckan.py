"""An open data portal that runs CKAN: links to files elsewhere of which it knows nothing, and one that it holds."""

from urllib.parse import quote

from tests.miniatures.miniature import Miniature


class Ckan(Miniature):
    """One package; the portal holds what ends in `.csv`, all else lies elsewhere and has a size that is wrong."""

    reader = "ckan"
    keys = "packages: [air-quality]"

    def answer(self, path, query, origin):
        if path == "/api/3/action/package_show" and query["id"] == "air-quality":
            links = [self.link(name, origin) for name in sorted(self.files)]
            return {"help": "x", "success": True, "result": {"name": "air-quality", "resources": links}}
        name = path.rpartition("/")[2]
        return self.files.get(name) if path.startswith(("/dataset/", "/elsewhere/")) else None

    def link(self, name, origin):
        held = name.endswith(".csv")
        place = "dataset/1/resource/2/download" if held else "elsewhere"
        return {
            "id": f"id-{name}", "name": "A title", "url": f"{origin}/{place}/{quote(name)}", "hash": "", "last_modified": None,
            "url_type": "upload" if held else None, "size": len(self.files[name]) if held else 11.75, "format": "CSV",
        }  # fmt: skip
