"""What a page says, and what of it is English: for the tests of the pages in two languages."""

import re

from selectolax.lexbor import LexborHTMLParser as Tree


async def page(api, path, status=200, **headers):
    given = {"Accept": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with api.get(path, headers=given) as response:
        text = await response.text()
        assert response.status == status, text
        assert response.content_type == "text/html"
    return Tree(text)


def words(node):
    return " ".join(node.text(separator=" ").split())


ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,;:]+[A-Za-z]{2,})+")
# the mirrors' titles and commands are no sentences of the page
KEPT = ("The {} archive", "MIT-BIH Arrhythmia Database", "syncd token NAME", "syncd undelete")


# what upstream, or a library, says in its own words
FOREIGN = {"Forbidden by the curator", "Connection refused"}


def english_in(tree, states):
    for node in tree.css(".path, .digest, code, pre, textarea, .source, script, style"):
        node.decompose()
    for node in tree.css(".quoted"):  # a value of a message: a name is one word; a sentence is somebody's own
        text = node.text()
        if not re.search(r"\s", text.strip()) or text in FOREIGN:
            node.decompose()
    text = tree.body.text(separator="\n")  # a sentence stands in one text node
    for kept in KEPT:
        for state in states:
            text = text.replace(kept.format(state), "")
    return ENGLISH.findall(text)
