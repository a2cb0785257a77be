"""Catalogues whose answers are the dataset, and lists that tell what changed: KCDB, OAI-PMH, ResourceSync."""

import json
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import web

from tests.miniatures.miniature import Miniature, md5, sha256

BEGAN = 1_700_000_000


def stamp(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kcdb(Miniature):
    """The BIPM's database: three searches by POST; `files` are the cards as a mirror holds them."""

    reader = "kcdb"
    at = "/api/kcdb/"
    keys = "page_size: 2, query: {metrologyAreaLabel: EM}"
    area: str | None = "EM"

    def __init__(self, files=None):
        self.cards = {
            "physics": [card(n, "EM") for n in range(5)],
            "chemistryAndBiology": [card(n, "QM") for n in range(10, 12)],
            "radiation": [],
        }
        self.version = "1.0.9"
        super().__init__({})

    def copy(self):
        return {
            f"{search}/{one['id']}.json": (
                json.dumps(one, ensure_ascii=False, sort_keys=True, indent=1) + "\n"
            ).encode()
            for search, cards in self.cards.items()
            for one in cards
            if one["status"] != "Deleted"
        }

    def change(self):
        self.cards["physics"][0]["status"] = "Deleted"
        self.cards["physics"][1]["uncertainty"] = 0.25
        self.cards["radiation"].append(card(20, "RI"))
        self.version = "1.1.0"

    async def _serve(self, request):
        self.asked.append(request)
        search = request.path.rpartition("/")[2]
        asked = await request.json()
        if request.method != "POST" or asked.get("metrologyAreaLabel") != self.area or search not in self.cards:
            raise web.HTTPBadRequest
        cards, size, number = self.cards[search], asked["pageSize"], asked["page"]
        page = cards[number * size : (number + 1) * size]
        shuffled = [dict(reversed(one.items())) if len(self.asked) % 2 else one for one in page]
        return web.json_response(
            {
                "version": self.version, "pageNumber": number, "pageSize": size, "numberOfElements": len(page),
                "totalElements": len(cards), "totalPages": -(-len(cards) // size), "aggregations": [], "data": shuffled,
            }
        )  # fmt: skip


def card(number, area):
    return {
        "id": number, "kcdbCode": f"EURAMET-{area}-DE-{number:08}", "status": "Published", "nmiName": "Institut für Maße",
        "uncertainty": 0.5, "services": [{"label": "Voltage", "value": 1}],
    }  # fmt: skip


class Oai(Miniature):
    """A repository of records, two on each page; `deleted` is its policy."""

    reader = "oai-pmh"
    at = "/"
    keys = "repository: oai2d"
    deleted = "persistent"

    def __init__(self, files=None):
        self.clock = BEGAN
        self.records: dict[str, tuple[str | None, int]] = {
            f"oai:repo.example:{n}": (f"title {n} <&>", BEGAN - 10) for n in range(5)
        }
        super().__init__({})

    def change(self):
        self.clock += 3600
        self.records["oai:repo.example:1"] = ("another title", self.clock)
        self.records["oai:repo.example:2"] = (None, self.clock)
        self.records["oai:repo.example:7/8"] = ("new", self.clock)

    def copy(self):
        """The paths, and what must stand in each of them."""
        return {f"{quote(name, safe=':')}.xml": title for name, (title, _) in self.records.items() if title is not None}

    def answer(self, path, query, origin):
        if path != "/oai2d":
            return None
        if query["verb"] == "Identify":
            return self.page(
                f"<Identify><repositoryName>r</repositoryName><deletedRecord>{self.deleted}</deletedRecord>"
                "<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify>"
            )
        since, _, start = query.get("resumptionToken", f"{query.get('from', '')}|0").rpartition("|")
        named = [(n, t, s) for n, (t, s) in sorted(self.records.items()) if stamp(s) >= since]
        if not named:
            return self.page('<error code="noRecordsMatch">none</error>')
        page = named[int(start) : int(start) + 2]
        after = int(start) + 2
        token = f"{since}|{after}" if after < len(named) else ""
        rows = "".join(self.row(*one) for one in page)
        return self.page(f"<ListRecords>{rows}<resumptionToken>{token}</resumptionToken></ListRecords>")

    def row(self, name, title, when):
        gone = ' status="deleted"' if title is None else ""
        header = f"<header{gone}><identifier>{name}</identifier><datestamp>{stamp(when)}</datestamp></header>"
        body = (
            ""
            if title is None
            else f"<metadata><d:dc xmlns:d='urn:dc'><d:title>{escape(title)}</d:title></d:dc></metadata>"
        )
        return f"<record>{header}{body}</record>"

    def page(self, inside):
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
            f"<responseDate>{stamp(self.clock)}</responseDate><request>x</request>{inside}</OAI-PMH>"
        )
        return web.Response(body=text.encode(), content_type="text/xml")


class ResourceSync(Miniature):
    """A source with a resource list of its beginning, and one open change list since."""

    reader = "resourcesync"
    at = "/"

    def __init__(self, files=None):
        super().__init__(files)
        self.first = dict(self.files)
        self.changes = []
        self.clock = BEGAN

    def begin(self):
        return {"res 1.csv": b"1\n", "deep/res2.pdf": b"%PDF" * 300, "res3.txt": b"three\n"}

    def change(self):
        self.clock += 3600
        self.files |= {"res 1.csv": b"1\n2\n", "new/res4": b"four"}
        del self.files["res3.txt"]
        self.changes += [
            ("created", "new/res4", b"four too soon", self.clock - 60),
            ("created", "new/res4", b"four", self.clock),
        ]
        self.changes += [("updated", "res 1.csv", b"1\n2\n", self.clock), ("deleted", "res3.txt", None, self.clock)]

    def answer(self, path, query, origin):
        lists = {
            "/.well-known/resourcesync": lambda: self.list(
                "description", self.entry(origin, "caps.xml", "capability='capabilitylist'")
            ),
            "/caps.xml": lambda: self.list(
                "capabilitylist",
                self.entry(origin, "list.xml", "capability='resourcelist'"),
                self.entry(origin, "changes.xml", "capability='changelist'"),
            ),
            "/list.xml": lambda: self.list(
                "resourcelist", *(self.entry(origin, p, proof(c)) for p, c in self.first.items()), at=stamp(BEGAN)
            ),
            "/changes.xml": lambda: self.list(
                "changelist",
                *(
                    self.entry(
                        origin, p, f"change='{what}' datetime='{stamp(when)}' {proof(c) if c is not None else ''}"
                    )
                    for what, p, c, when in self.changes
                ),
                **{"from": stamp(BEGAN)},
            ),
        }
        return lists[path]() if path in lists else self.files.get(path.removeprefix("/"))

    def list(self, capability, *entries, **described):
        words = "".join(f' {key}="{value}"' for key, value in described.items())
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
            f'xmlns:rs="http://www.openarchives.org/rs/terms/"><rs:md capability="{capability}"{words}/>{"".join(entries)}</urlset>'
        )
        return web.Response(body=text.encode(), content_type="application/xml")

    def entry(self, origin, path, described):
        return f"<url><loc>{origin}/{quote(path)}</loc><rs:md {described}/></url>"


def proof(content):
    return f"hash='md5:{md5(content)}\n  sha-256:{sha256(content)}' length='{len(content)}'"
