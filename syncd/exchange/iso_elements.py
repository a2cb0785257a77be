"""Writes the elements of ISO 19139 that stand in many places: texts, codes, dates, parties and links."""

from syncd.exchange.markup import Markup, clean, element, instant, tag
from syncd.exchange.publication import Agent, preferred

_LISTS = "http://www.isotc211.org/2005/resources/codeList.xml"


def online(address: str, protocol: str, function: str) -> Markup:
    """Return a link on the web."""
    return tag(
        "gmd:CI_OnlineResource",
        tag("gmd:linkage", tag("gmd:URL", address)),
        tag("gmd:protocol", character_string(protocol)),
        tag("gmd:function", code("CI_OnLineFunctionCode", function)),
    )


def party(one: Agent, role: str, language: str, contact: str = "") -> Markup:
    """Return a person or an organisation in a role."""
    mail = contact or one.email
    address = tag("gmd:CI_Address", tag("gmd:electronicMailAddress", character_string(mail)))
    name = preferred(one.names, language) or ":unav"
    return tag(
        "gmd:CI_ResponsibleParty",
        tag("gmd:individualName" if one.orcid else "gmd:organisationName", character_string(name)),
        tag("gmd:contactInfo", tag("gmd:CI_Contact", tag("gmd:address", address))) if clean(mail).strip() else None,
        tag("gmd:role", code("CI_RoleCode", role)),
    )


def dated(seconds: float, kind: str) -> Markup:
    """Return the date of a citation."""
    when = tag("gmd:date", tag("gco:DateTime", instant(seconds).removesuffix("Z")))
    return tag("gmd:date", tag("gmd:CI_Date", when, tag("gmd:dateType", code("CI_DateTypeCode", kind))))


def character_string(text: str) -> Markup:
    """Return a text."""
    return tag("gco:CharacterString", text)


def code(kind: str, value: str) -> Markup:
    """Return a value of a code list."""
    return element(f"gmd:{kind}", {"codeList": f"{_LISTS}#{kind}", "codeListValue": value}, value)
