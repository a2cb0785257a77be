"""The pure parts of the http transport: what headers say, how urls are written, which addresses are public."""

import email.utils

import pytest
from hypothesis import given, strategies as some

from manifests.origins import origin_of
from syncd.core.errors import Unsafe
from transports.http import headers
from transports.net import redirects, urls
from transports.net.ip_policy import is_public

DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


@given(some.integers(0, 253402300799))
def test_every_http_date_is_read_back(second):
    assert headers.instant(email.utils.formatdate(second, usegmt=True)) == second


@pytest.mark.parametrize(
    ("text", "second"),
    [
        (DATE, 1_800_000_000.0),
        ("Friday, 15-Jan-27 08:00:00 GMT", 1_800_000_000.0),
        ("Fri Jan 15 08:00:00 2027", 1_800_000_000.0),
        ("Fri, 15 Jan 2027 08:00:00 +0000", 1_800_000_000.0),
        ("Fri, 15 Jam 2027 08:00:00 GMT", None),
        ("Fri, 99 Jan 2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 2027 0x:00:00 GMT", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_read_in_its_three_forms_or_not_at_all(text, second):
    assert headers.instant(text) == second


@given(some.text(max_size=40))
def test_no_text_breaks_what_reads_headers(text):
    fields = dict.fromkeys(
        ("etag", "last-modified", "content-range", "content-length", "retry-after", *headers.PROMISING), text
    )
    headers.instant(text)
    headers.content_range(fields)
    headers.digests(fields)
    version = headers.version(fields, 7)
    assert headers.binding(version) == version
    assert headers.binding(text) in (None, text)
    wait = headers.retry_after(fields, 0.0)
    assert wait is None or 0 <= wait <= headers.MOST_RETRY_AFTER


@pytest.mark.parametrize(
    ("fields", "size", "version"),
    [
        ({"etag": '"a"', "last-modified": DATE}, 7, '"a"'),
        ({"etag": 'W/"a"', "last-modified": DATE}, 7, f"modified:{DATE}|7"),
        ({"etag": "a", "last-modified": DATE}, 7, f"modified:{DATE}|7"),
        ({"etag": '""'}, 7, None),
        ({"etag": '"a" , "b"'}, 7, None),
        ({"last-modified": DATE}, None, None),
        ({"last-modified": "soon"}, 7, None),
        ({}, 7, None),
    ],
)
def test_only_what_binds_is_a_version(fields, size, version):
    assert headers.version(fields, size) == version


@pytest.mark.parametrize(
    "version", [None, "listed:1|2", "sha256:00", '"a', 'W/"a"', '"a\r\nb"', "modified:", "modified:x|7"]
)
def test_what_does_not_fit_into_a_header_binds_nothing(version):
    assert headers.binding(version) is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes 0-9/10", (0, 10, 10)),
        ("Bytes 5-8/*", (5, 9, None)),
        ("bytes 5-10/10", None),
        ("bytes 9-5/10", None),
        ("bytes */10", None),
        ("bytes 0-9/10, bytes 0-9/10", None),
        ("bytes -1-9/10", None),
        ("bytes 0-9", None),
        ("", None),
    ],
)
def test_a_content_range_makes_sense_or_is_none(text, part):
    assert headers.content_range({"content-range": text}) == part


def test_digests_of_the_whole_file_are_read_in_both_their_spellings():
    sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    found = {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    assert headers.digests({"repr-digest": f"sha-256=:{sha256}:"}) == found
    assert headers.digests({"digest": f"MD5=xxxx, SHA-256={sha256}"}) == found
    for wrong in (f"sha-256=:{sha256[4:]}:", "sha-256=::", "sha-256=:!!!!:", "sha-512=:47DE:", "unixsum=:MA==:"):
        assert headers.digests({"repr-digest": wrong}) == {}


MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, {"md5": MD5}),
        ({"content-md5": MD5.upper()}, {"md5": MD5}),
        ({"content-md5": "nonsense"}, {}),
        ({"x-goog-hash": "crc32c=AAAAAA==,md5=1B2M2Y8AsgTpgAmY7PhCfg=="}, {"crc32c": "00000000", "md5": MD5}),
        ({"x-goog-hash": "md5=1B2M2Y8AsgTpgAmY7PhCfg==", "x-goog-stored-content-encoding": "gzip"}, {}),
        (
            {"x-amz-checksum-crc64nvme": "rosUhgp5mIg=", "x-amz-checksum-type": "FULL_OBJECT"},
            {"crc64nvme": "ae8b14860a799888"},
        ),
        ({"x-amz-checksum-crc64nvme": "rosUhgp5mIg=-3"}, {}),
        ({"x-amz-checksum-sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "x-amz-checksum-type": "composite"}, {}),
        ({"x-amz-checksum-mode": "ENABLED"}, {}),
        ({"digest": "adler32=03da0195,crc32c=AAAAAA==,contentMD5"}, {"adler32": "03da0195", "crc32c": "00000000"}),
        ({"digest": "id-sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, {}),
        ({"digest": f"SHA-256={MD5}"}, {}),
    ],
)
def test_what_a_response_promises_of_the_whole_file_is_read_and_nothing_else(fields, found):
    assert headers.digests(fields) == found
    assert headers.digests(fields, part=True) == (found if "digest" in fields else {})


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),  # an address behind NAT64 is how an IPv6-only machine reaches IPv4
        ("2002:808:808::1", True),
        *[
            (host, False)
            for host in (
                "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
                "100.64.0.1", "192.0.0.192", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1",
                "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1", "3fff::1",
                "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
                "2002:7f00:1::1", "2001:0:4136:e378::1", "", "localhost", "example.org", "127.1",
            )
        ],
    ],
)  # fmt: skip
def test_only_addresses_that_anybody_can_reach_are_public(host, public):
    assert is_public(host) is public


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Example.ORG/x", "http://example.org"),
        ("HTTPS://example.org:443/x?y#z", "https://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("https://example.org:80?x", "https://example.org:80"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]"),
        ("http://example.org./", "http://example.org"),
        ("http://bücher.example/", "http://xn--bcher-kva.example"),
        ("http://me:pw@example.org/", "http://example.org"),
        ("s3://Bucket/prefix", "s3://Bucket"),
        ("ftp://H:21/x", "ftp://h"),
        ("sftp://h:2222/x", "sftp://h:2222"),
        ("file:///srv/x", "file://"),
    ],
)
def test_an_origin_is_scheme_host_and_port_in_one_spelling(url, origin):
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x",
        "http://exa mple/",
        "http://a%0ab/",
        "http://a\\b/",
        "http://a:99999/",
        "http://a:b/",
        "http://a:0/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%25eth0]/",
        "http://" + "a" * 254,
        "http://\u2488\u0000/",
        "s3:///key",
        "x",
        "",
    ],
)
def test_what_has_no_origin_says_so(url):
    with pytest.raises(ValueError):
        origin_of(url)


@given(some.text(min_size=1, max_size=60).filter(lambda path: not path.startswith("/")))
def test_every_path_can_be_written_into_a_url_and_read_from_it(path):
    from urllib.parse import unquote

    try:
        path.encode()
    except UnicodeEncodeError:
        return
    written = urls.escape(path)
    assert written.isascii()
    assert written.isprintable()
    assert not set(written) & set(' ?#"<>\\^`{|}')
    assert unquote(written) == path
    origin, target = urls.split(f"http://example.org/{written}")
    assert (origin, unquote(target)) == ("http://example.org", f"/{path}")


@given(some.text(max_size=60))
def test_no_url_puts_a_line_or_a_space_into_a_request(text):
    try:
        text.encode()
        origin, target = urls.split(f"http://example.org/{text}")
    except (UnicodeEncodeError, Unsafe):
        return
    assert (origin + target).isascii()
    assert (origin + target).isprintable()
    assert " " not in target


@given(some.text(max_size=60))
def test_what_is_shown_is_printable_and_has_no_secret(text):
    shown = urls.shown(f"https://me:pw@example.org/a{text.replace('?', '')}?token=s3cret")
    assert shown.isprintable()
    assert "s3cret" not in shown
    assert "me:pw" not in shown


@given(some.text(max_size=60))
def test_a_redirect_leads_to_http_or_nowhere(location):
    found, reason = None, "x: "
    try:
        found = redirects.next_hop("x", ["https://example.org/x"], 302, location)
    except Unsafe as error:
        reason = str(error)
    assert reason.startswith("x: ")
    assert reason.isprintable()
    assert found is None or (found[0].startswith("https://") and found[1].startswith("/"))
