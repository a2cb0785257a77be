"""What FTP servers write of a folder, in the forms in which it was seen."""

import pytest

from transports.ftp.listing import FtpEntry, instant, list_line, mlsd, version


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            b"modify=20150813175250;perm=adfr;size=951;type=file;unique=119FBB87UE;UNIX.group=0; welcome.msg\r\n",
            FtpEntry("welcome.msg", "file", 951, "20150813175250"),
        ),
        (b"Type=file;Size=431;Modify=20130303210732; HEADER.html", FtpEntry("HEADER.html", "file", 431, "20130303210732")),
        (b"Type=dir;Modify=20141022065102.999;UNIX.mode=0775; source", FtpEntry("source", "folder", None, "20141022065102.999")),
        (b"Type=file;Size=1;   two before", FtpEntry("  two before", "file", 1)),
        (b" no facts", FtpEntry("no facts", "file")),
        (b"type=OS.unix=slink:/x; link", FtpEntry("link", "other")),
        (b"type=cdir;modify=20141022065102; .", None),
        ("type=file;size=2; é".encode("latin-1"), FtpEntry("\udce9", "file", 2)),
    ],
)  # fmt: skip
def test_a_line_of_mlsd_says_what_it_says(line, found):
    assert mlsd(line, "utf-8") == found


@pytest.mark.parametrize(
    "line",
    [
        b"Type=cdir;Modify=20141022065101;UNIX.mode=0775;/no/space",
        b"Modify=2014; Short stamp",
        b"type=file;size=many; x",
        b"type=file;size; x",
        b"type=file;",
        b"",
    ],
)
def test_a_line_of_mlsd_that_cannot_be_is_an_error(line):
    with pytest.raises(ValueError):
        mlsd(line, "utf-8")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            b"-rw-r--r--   1 marketwired marketwired    12016 Mar 16  2016 2016031611G087802-001.newsml",
            FtpEntry("2016031611G087802-001.newsml", "file", 12016),
        ),
        (b"lrwxrwxrwx   1 root     other          7 Jan 25 00:17 bin -> usr/bin", FtpEntry("bin -> usr/bin", "other")),
        (b"-rwxrw-r--+  1 521      101         2080 May 21 10:53 data.csv", FtpEntry("data.csv", "file", 2080)),
        (
            b"-rw-r--r--        0   18446744073709551615 18446744073709551615 Nov 16  2006 VIDEO_TS.VOB",
            FtpEntry("VIDEO_TS.VOB", "file", None),
        ),
        (b"08-07-15  07:50PM                  718 Post_PRR.dat", FtpEntry("Post_PRR.dat", "file", 718)),
        (b"08-10-15  02:04PM       <DIR>          Billing", FtpEntry("Billing", "folder")),
        (b"-rw-r--r--    1 0        0              11 Nov 25 02:41  edges \r\n", FtpEntry(" edges ", "file", 11)),
        (b"drwxr-xr-x    3 0        0            4096 Nov 25 02:41 a b", FtpEntry("a b", "folder")),
        (b"total 1", None),
        (b"drwxr-xr-x    3 0        0            4096 Nov 25 02:41 ..", None),
    ],
)
def test_a_line_of_list_gives_kind_size_and_name(line, found):
    assert list_line(line, "utf-8") == found


def test_a_listing_that_nobody_can_read_is_an_error():
    with pytest.raises(ValueError):
        list_line(b"d [R----F--] supervisor            512       Jan 16 18:53    login", "utf-8")


def test_times_are_utc_and_a_version_needs_both_time_and_size():
    assert instant("20150813175250") == 1439488370.0
    assert instant("20150813175250.5") == 1439488370.5
    assert [instant(stamp) for stamp in ("", "2015", "20151313175250", "20150813175250Z")] == [None] * 4
    assert version("20150813175250", 0) == "modified:20150813175250|0"
    assert (version("", 5), version("20150813175250", None)) == (None, None)
