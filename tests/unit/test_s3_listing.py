"""A page of an S3 listing, however a server writes it, read the fast way and by expat alike."""

from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings, strategies as st

from manifests.stat import Stat, UnsafePath, check_path
from syncd.core.errors import PermanentError, Refused, Unsafe
from transports.s3 import listing
from transports.s3.listing import early_token, read_page

HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
KEYS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=30
)


def page(contents, *, token=None, encoded=False, more=""):
    truncated = "true" if token is not None else "false"
    following = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token is not None else ""
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    top = f"<Name>b</Name>{following}{encoding}<IsTruncated>{truncated}</IsTruncated>{more}"
    return f"{HEAD}{top}{''.join(contents)}</ListBucketResult>".encode()


def entry(key, *, etag="&quot;abc&quot;", size=5, modified="2024-05-01T10:11:12.000Z", tail="", space=""):
    fields = [
        f"<Key>{key}</Key>", f"<LastModified>{modified}</LastModified>", f"<ETag>{etag}</ETag>", f"<Size>{size}</Size>",
    ]  # fmt: skip
    return f"<Contents>{space}{space.join(fields)}{tail}{space}</Contents>"


def only(body, root=""):
    (stat,) = read_page(body, root, "s3://b/").page
    return stat


WANTED = Stat("k", 5, 1714558272.0, '"abc"')


@pytest.mark.parametrize("etag", ["&quot;abc&quot;", "abc", '"abc"', "&#34;abc&#34;"])
def test_an_etag_becomes_a_version_with_quotes_however_it_is_written(etag):
    assert only(page([entry("k", etag=etag)])) == WANTED


@pytest.mark.parametrize(
    "contents",
    [
        entry("k", tail="<StorageClass>STANDARD</StorageClass>"),
        entry("k", tail="<Owner><ID>i</ID><DisplayName>n</DisplayName></Owner><StorageClass>X</StorageClass>"),
        entry("k", space="\n    "),
        entry("k", modified="2024-05-01T10:11:12Z"),
        entry("k", modified="2024-05-01T12:11:12+02:00"),
        entry("k", modified="2024-05-01T10:11:12.000000"),
        entry("k").replace("<Size>", "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>"),
        "<Contents><Size>5</Size><ETag>abc</ETag><LastModified>2024-05-01T10:11:12Z</LastModified><Key>k</Key></Contents>",
        entry("<![CDATA[k]]>"),
        "<!-- a remark -->" + entry("k"),
        entry("k").replace("<Key>", "<Key a='b'>"),
        entry("&#107;"),
    ],
)
def test_every_correct_way_to_write_an_object_gives_the_same(contents):
    assert only(page([contents])) == WANTED


def test_an_object_without_an_etag_has_no_version():
    assert only(page([entry("k", etag="")])).version is None


def test_folder_markers_and_the_root_itself_are_no_files():
    body = page([entry("r/", size=0), entry("r/a/", size=0), entry("r/a/b"), entry("r/c", size=0)])
    assert [stat.path for stat in read_page(body, "r/", "b").page] == ["a/b", "c"]


def test_a_key_with_bytes_that_cannot_be_a_file_is_rejected_by_its_name():
    body = page([entry("x/r/"), entry("x/r/a/"), entry("x/r/b")])
    paths = [stat.path for stat in read_page(body, "x/r/", "b").page]
    assert paths == ["r/", "a/", "b"]
    for path in paths[:2]:
        with pytest.raises(UnsafePath):
            check_path(path)


def test_the_order_is_passed_on_as_it_came():
    body = page([entry(key) for key in ("b", "a", "c")])
    assert [stat.path for stat in read_page(body, "", "b").page] == ["b", "a", "c"]


def test_a_key_outside_of_what_was_asked_for_is_refused():
    with pytest.raises(PermanentError, match="cannot list"):
        read_page(page([entry("other/k")]), "root/", "b")


def test_plus_and_percent_mean_themselves_unless_the_page_says_that_keys_are_encoded():
    assert only(page([entry("a+b%20c")])).path == "a+b%20c"
    assert only(page([entry("a+b%2Bc%20d")], encoded=True)).path == "a b+c d"


def test_the_token_of_the_next_page_is_seen_before_the_page_is_whole():
    body = page([entry("k")], token="a&b=")
    assert early_token(body[: body.index(b"<Contents>")]) == "a&b="
    assert read_page(body, "", "b").token == "a&b="


def test_the_last_page_has_no_token():
    assert read_page(page([entry("k")]), "", "b").token is None
    empty = page([entry("k")], more="<NextContinuationToken/>")
    assert read_page(empty, "", "b").token is None


@pytest.mark.promise("P4")
def test_a_token_beside_false_goes_on():
    body = page([entry("k")], more="<NextContinuationToken>t</NextContinuationToken>")
    assert early_token(body) is None
    found = read_page(body, "", "b")
    assert (found.token, found.is_last) == ("t", True)


@pytest.mark.promise("P4")
@pytest.mark.parametrize("said", ["True", "TRUE", " true ", "1", "yes"])
def test_whatever_is_not_false_goes_on_or_is_refused(said):
    body = page([entry("k")], token="t").replace(b">true<", f">{said}<".encode())
    assert (read_page(body, "", "b").token, read_page(body, "", "b").is_last) == ("t", False)
    found = read_page(body.replace(b"NextContinuationToken", b"Nothing"), "", "b")
    assert (found.token, found.is_last, found.marker) == (None, False, "k")


def test_false_in_any_spelling_is_the_end():
    for said in (b"False", b"FALSE", b" false\n"):
        assert read_page(page([entry("k")]).replace(b">false<", b">" + said + b"<"), "", "b").token is None


@pytest.mark.promise("P4")
def test_a_page_with_fewer_keys_than_it_announces_is_refused():
    assert len(read_page(page([entry("k"), entry("r/", size=0)], more="<KeyCount>2</KeyCount>"), "", "b").page) == 1
    for contents in ([entry("k")], ["<!-- x -->" + entry("k")], []):
        with pytest.raises(PermanentError, match=f"announces 2 keys and has {len(contents)}"):
            read_page(page(contents, more="<KeyCount>2</KeyCount>"), "", "b")


@pytest.mark.promise("P4")
def test_a_server_that_lists_one_level_of_folders_is_refused():
    body = page([entry("k")], more="<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>")
    with pytest.raises(PermanentError, match="lists one level of folders only"):
        read_page(body, "", "b")


def test_a_page_of_the_first_version_goes_on_behind_its_last_key_or_where_it_says():
    body = page([entry("a"), entry("b%20c")], token="t", encoded=True).replace(b"NextContinuationToken", b"Nothing")
    assert read_page(body, "", "b").marker == "b c"
    assert read_page(body.replace(b"Nothing", b"NextMarker").replace(b">t<", b">b%2Fz<"), "", "b").marker == "b/z"


def test_a_page_without_keys_that_goes_on_and_does_not_say_where_is_refused():
    body = page([], token="t").replace(b"NextContinuationToken", b"Nothing")
    with pytest.raises(PermanentError, match="no continuation token"):
        read_page(body, "", "b")


@pytest.mark.fault(16)
def test_a_document_type_is_refused():
    bomb = page([entry("&a;")]).replace(b"<ListBucketResult", b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult', 1)
    with pytest.raises(Unsafe, match="document type"):
        read_page(bomb, "", "b")


def test_an_error_in_a_page_of_status_200_is_an_error():
    with pytest.raises(Refused, match="SlowDown"):
        read_page(b"<Error><Code>SlowDown</Code><Message>less, please</Message></Error>", "", "b")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>login</html>",
        b"{}",
        b"<ListBucketResult>",
        HEAD.encode(),
        b'<?xml version="1.0" encoding="null"?><a/>',
    ],
)
def test_what_is_no_listing_is_refused(body):
    with pytest.raises(PermanentError):
        read_page(body, "", "b")


@pytest.mark.parametrize(
    "broken",
    [
        entry("k", size="big"),
        entry("k", size="-1"),
        entry("k", size="9" * 19),
        entry("k", modified="yesterday"),
        "<Contents></Contents>",
        entry("k").replace("<Key>k</Key>", ""),
    ],
)
def test_an_object_that_cannot_be_read_refuses_the_page(broken):
    with pytest.raises(PermanentError, match="cannot be parsed"):
        read_page(page([broken]), "", "b")


def outcome(read, *given):
    """What reading gives, or how it fails; the error's words may differ."""
    try:
        return read(*given)
    except (PermanentError, Refused) as error:
        return type(error)


def agree(body):
    text = body.decode(errors="replace").strip()
    both = outcome(read_page, body, "", "b"), outcome(listing._read_slowly, text, "", "b")
    assert both[0] == both[1]
    return both[0]


@given(st.lists(st.tuples(KEYS, st.integers(0, 2**60))), st.booleans(), st.sampled_from(["", "\n  "]))
def test_the_fast_way_and_expat_agree(files, encoded, space):
    body = page(
        [entry(quote_plus(key, safe="/") if encoded else escape(key), size=size, space=space) for key, size in files],
        encoded=encoded,
    )
    found = agree(body)
    assert [(stat.path, stat.size) for stat in found.page] == [
        (k, size) for k, size in files if size or not k.endswith("/")
    ]


@pytest.mark.parametrize("space", ["", "\n  "])
@pytest.mark.parametrize("quote", ["&quot;", '"', "&#34;"])
@pytest.mark.parametrize(
    "tail",
    ["", "<StorageClass>S</StorageClass>", "<Owner><ID>i</ID><DisplayName/></Owner>".replace("/>", "></DisplayName>")],
)
def test_what_all_servers_write_is_read_the_fast_way(space, quote, tail):
    body = page([entry(f"k{n}", etag=f"{quote}e{quote}", tail=tail, space=space) for n in range(3)], token="t")
    taken = listing._take(body.decode())
    assert taken is not None
    columns, rest = taken
    assert list(columns.keys) == ["k0", "k1", "k2"]
    assert rest == page(["<Gap/>"], token="t").decode()
    assert agree(body).token == "t"


# pieces of which pages are put together at random: some right, most of them wrong in the wrong place
SHARDS = st.sampled_from([
    entry("k"), entry("k/"), entry("a%2Bb+c"), entry("%"), entry("a&amp;b"), entry("a&lt;"), entry("&#107;"), entry("&a;"), entry("&"), entry(""),
    entry("]]>"), entry("\x01"), entry("a\rb"), entry("a\nb"), entry("\ufffe"), entry("\u200b"), entry("<![CDATA[k]]>"), entry("k").replace("<Key>", "<Key a='b'>"),
    entry("k", etag=""), entry("k", etag='"'), entry("k", etag='""'), entry("k", etag='"a"b"'), entry("k", etag="&quot;a&quot;&quot;"),
    entry("k", etag="'a'"), entry("k", etag='W/"a"'), entry("k", etag=' "a" '), entry("k", etag="&quot;a&amp;b&quot;"), entry("k", etag='"a\nb"'),
    entry("k", size=""), entry("k", size=" 7 "), entry("k", size="-7"), entry("k", size="007"), entry("k", size="\u0667"), entry("k", size="1e3"),
    entry("k", modified="2024-05-01T10:11:12Z"), entry("k", modified="2024-05-01T10:11:12"), entry("k", modified="2024-05-01T10:11:12+02:00Z"),
    entry("k", modified="2024-05-01T12:11:12+02:00"), entry("k", modified="2024-02-30T10:11:12Z"), entry("k", modified="T2024-05-01Z"), entry("k", modified=""),
    entry("k", tail="<StorageClass>S</StorageClass>"), entry("k", tail="<StorageClass>S</StorageClas>"), entry("k", tail="<Size>6</Size>"), entry("k", tail="<Key>l</Key>"),
    entry("k", tail="<Owner><ID>i</ID></Owner>"), entry("k", tail="<Owner><Key>i</Key></Owner>"), entry("k", tail="<Contents>c</Contents>"), entry("k", tail="<A>&x;</A>"),
    entry("k", tail="<A>]]></A>"), entry("k", tail="<A>\x02</A>"), entry("k", tail="text"), entry("k", tail="<A><B>b</C></A>"), entry("k", tail="</A>"), entry("k", tail="<Gap/>"),
    entry("k").replace("<Size>", "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>"),
    entry("k").replace("<Size>", "<ChecksumAlgorithm>CRC32</ChecksumType><Size>"), entry("k", space="\t"), entry("k", space="\n"), entry("k").replace("Contents", "s3:Contents"),
    "<Contents></Contents>", "<Contents/>", "<Contents>", "</Contents>", "<!--", "-->", "<![CDATA[", "]]>", "<?x y?>", "text", "&quot;", "<Gap/>", "<Gap>", "</Gap>", "<A>", "</A>",
    "<IsTruncated>true</IsTruncated>", "<NextContinuationToken>u</NextContinuationToken>", "<EncodingType>url</EncodingType>", "<CommonPrefixes><Prefix>p</Prefix></CommonPrefixes>",
    "<!DOCTYPE x>", "</ListBucketResult>", "<ListBucketResult>", "<Error><Code>SlowDown</Code></Error>", "<EncodingType>u</EncodingType>", "\n", "\u00e9", "\ufeff",
])  # fmt: skip


@settings(max_examples=400)
@given(st.lists(SHARDS, max_size=5), st.booleans(), st.sampled_from([None, "t", "a&b"]), st.booleans(), st.data())
def test_whatever_a_page_is_made_of_both_ways_agree(shards, encoded, token, spoilt, data):
    good = [entry("j"), *shards, entry("l")]
    body = page(good, token=token, encoded=encoded)
    if spoilt:
        at = data.draw(st.integers(0, len(body)))
        body = body[:at] + data.draw(st.sampled_from([b"", b"<", b"&", b"\xff", b">", b'"'])) + body[at + 1 :]
    agree(body)


@given(st.lists(SHARDS, max_size=3), st.integers(0, 2000))
def test_a_page_that_was_cut_is_refused(shards, at):
    body = page(["".join(shards), entry("k")])
    cut = body[: min(at, len(body) - 1)]
    assert isinstance(agree(cut), type)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_our_errors(noise):
    for body in (noise, page([]).replace(b"</ListBucketResult>", noise)):
        try:
            read_page(body, "", "b")
        except (PermanentError, Refused):
            continue
