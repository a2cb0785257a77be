"""A catalogue service with ISO records: downloads beside a web service, `nextRecord`, and two records to a page."""

from urllib.parse import quote

from tests.miniatures.portals import Portal

ROWS = 2
LINK = """<gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>{url}</gmd:URL></gmd:linkage>
<gmd:protocol><gco:CharacterString>{protocol}</gco:CharacterString></gmd:protocol></gmd:CI_OnlineResource></gmd:onLine>"""
RECORD = """<gmd:MD_Metadata><gmd:fileIdentifier><gco:CharacterString>{name}</gco:CharacterString></gmd:fileIdentifier>
<gmd:distributionInfo><gmd:MD_Distribution><gmd:transferOptions><gmd:MD_DigitalTransferOptions>{links}
</gmd:MD_DigitalTransferOptions></gmd:transferOptions></gmd:MD_Distribution></gmd:distributionInfo></gmd:MD_Metadata>"""
ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<csw:GetRecordsResponse xmlns:csw="http://www.opengis.net/cat/csw/2.0.2" xmlns:gmd="http://www.isotc211.org/2005/gmd"
 xmlns:gco="http://www.isotc211.org/2005/gco"><csw:SearchStatus timestamp="2026-11-30T00:00:00Z"/>
<csw:SearchResults numberOfRecordsMatched="{matched}" numberOfRecordsReturned="{returned}" nextRecord="{next}"
 elementSet="full">{records}</csw:SearchResults></csw:GetRecordsResponse>"""


class Csw(Portal):
    """Each dataset of a portal as a record."""

    reader = "csw"
    at = "/geonetwork/srv/eng/"

    def described(self, path, query, origin):
        if path != f"{self.at}csw":
            return None
        names, begin = self.datasets(), int(query["startPosition"])
        shown = names[begin - 1 : begin - 1 + ROWS]
        more = begin + ROWS if begin + ROWS <= len(names) else 0
        records = "".join(self.record(name, origin) for name in shown)
        return ANSWER.format(matched=len(names), returned=len(shown), next=more, records=records)

    def record(self, name, origin):
        urls = [(f"{origin}/store/{quote(file)}", "WWW:DOWNLOAD-1.0-http--download") for file in self.downloads(name)]
        links = "".join(
            LINK.format(url=url, protocol=protocol) for url, protocol in [*urls, (f"{origin}/wms", "OGC:WMS")]
        )
        return RECORD.format(name=name, links=links)
