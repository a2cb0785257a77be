"""What FTP servers write of a folder, in the forms in which it was seen."""

import time

import pytest

from manifests.stamps import is_less_exact
from transports.ftp.listing import FtpEntry, instant, list_line, listed, mlsd, version


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            b"modify=20150813175250;perm=adfr;size=951;type=file;unique=119FBB87UE;UNIX.group=0; welcome.msg\r\n",
            FtpEntry("welcome.msg", "file", 951, "20150813175250", unique="119FBB87UE"),
        ),
        (b"Type=file;Size=431;Modify=20130303210732; HEADER.html", FtpEntry("HEADER.html", "file", 431, "20130303210732")),
        (b"Type=dir;Modify=20141022065102.999;UNIX.mode=0775; source", FtpEntry("source", "folder", None, "20141022065102.999")),
        (b"Type=file;Size=1;   two before", FtpEntry("  two before", "file", 1)),
        (b" no facts", FtpEntry("no facts", "file")),
        (b"type=OS.unix=slink:/x; link", FtpEntry("link", "link", target="/x")),
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
        (
            b"lrwxrwxrwx   1 root     other          7 Jan 25 00:17 bin -> usr/bin",
            FtpEntry("bin", "link", target="usr/bin"),
        ),
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
        *((line.encode(), None) for line in ("总用量 12", "итого 4", "insgesamt 8", "合計 12K", "총 8", "razem: 4,0K")),
        ("总用量 12".encode("gb18030"), None),
        (b"-rw-r--r-- 1 ftp Domain Users 123 Mar 05 2024 a b.nc", FtpEntry("a b.nc", "file", 123)),
        (b"-rw-r--r-- 1 DOM\\some user and the others 99 dic 31 2023 z", FtpEntry("z", "file", 99)),
        (b"-rw-r--r-- 1 14 ftp 2080 May 21 10:53 x", FtpEntry("x", "file", 2080)),
        (b"-rw-r--r-- ftp ftp 123 Mar 05 2024 without links", FtpEntry("without links", "file", 123)),
        (b"-rw-r--r-- 1 a b 5 2024-03-05 10:12:00.000000000 +0800 iso", FtpEntry("iso", "file", 5)),
        *(
            (f"-rw-r--r-- 1 ftp ftp 123 {date} a.nc".encode(), FtpEntry("a.nc", "file", 123))
            for date in (
                "мар 05 2024",
                " 5 мар  2024",
                "3月  5 15:12",
                "3月  5日 2024",
                "2월  5 10:12",
                " 5 janv. 10:12",
                "févr.  5 2024",
                "5. Mär 10:12",
                "Ara 05 2024",
            )
        ),
        ("-rw-r--r-- 1 ftp ftp 123 3月  5 15:12 a.nc".encode("gb18030"), FtpEntry("a.nc", "file", 123)),
        ("-rw-r--r-- 1 ftp ftp 123 мар  5 15:12 a.nc".encode("cp1251"), FtpEntry("a.nc", "file", 123)),
        (b"crw-rw-r-- 1 root root 8, 0 Mar 5 2024 device", FtpEntry("device", "other")),
        (b"2024-03-05  15:12              123 a.nc", FtpEntry("a.nc", "file", 123)),
        (b"05/03/2024  15:12    <DIR>     a b", FtpEntry("a b", "folder")),
        (b"drwxr-xr-x    3 0        0            4096 Nov 25 02:41 ..", None),
    ],
)
def test_a_line_of_list_gives_kind_size_and_name(line, found):
    entry = list_line(line, "utf-8")
    assert (None if entry is None else entry._replace(day="")) == found


NOW = 1_709_600_000.0  # 2024-03-05


@pytest.mark.parametrize(
    ("line", "modified", "version"),
    [
        (b"-rw-r--r-- 1 a b 5 Mar  5 00:12 x", 1709597520.0, "listed:2024-03-05 00:12|5"),
        (b"-rw-r--r-- 1 a b 5 Mar 12 00:12 x", 1678579920.0, "listed:2023-03-12 00:12|5"),
        (b"-rw-r--r-- 1 a b 5 Mar 12  2023 x", 1678579200.0, "listed:2023-03-12|5"),
        (b"-rw-r--r-- 1 a b 5 Feb 29 23:59 x", 1709251140.0, "listed:2024-02-29 23:59|5"),
        (b"08-07-15  07:50PM                  718 x", 1438977000.0, "listed:08-07-15 07:50PM|718"),
        (b"2024-03-05  15:12              123 x", 1709651520.0, "listed:2024-03-05 15:12|123"),
        ("-rw-r--r-- 1 a b 5 5. März 00:12 x".encode(), None, "listed:5. März 00:12|5"),
    ],
)
def test_the_time_that_list_shows_makes_a_version_where_the_server_tells_no_other(line, modified, version):
    entry = list_line(line, "utf-8")
    assert listed(entry.day, entry.size, NOW) == (modified, version)


def test_a_time_that_loses_its_clock_after_half_a_year_is_the_same_version():
    early, late = "listed:2023-03-12 00:12|5", "listed:2023-03-12|5"
    assert is_less_exact(early, late)
    assert not is_less_exact(early, "listed:2023-03-13|5")
    assert not is_less_exact(late, early)
    assert not is_less_exact(early, "listed:2023-03-12|6")


@pytest.mark.parametrize(
    "line",
    [
        b"-rw-r--r-- 1 " + b"1 " * 30_000,
        b"-rw-r--r-- " + b" " * 60_000 + b"1",
        b"-rw-r--r-- 1 a b 5 " + b"a" * 60_000,
        b"-rw-r--r-- 1 " + b"a  " * 20_000 + b"5",
        b"1" * 60_000,
        "é".encode() * 30_000,
    ],
)
def test_a_hostile_line_costs_little(line):
    began = time.process_time()
    with pytest.raises(ValueError):
        list_line(line, "utf-8")
    assert time.process_time() - began < 1


def test_a_listing_that_nobody_can_read_is_an_error():
    with pytest.raises(ValueError):
        list_line(b"d [R----F--] supervisor            512       Jan 16 18:53    login", "utf-8")


def test_times_are_utc_and_a_version_needs_both_time_and_size():
    assert instant("20150813175250") == 1439488370.0
    assert instant("20150813175250.5") == 1439488370.5
    assert [instant(stamp) for stamp in ("", "2015", "20151313175250", "20150813175250Z")] == [None] * 4
    assert version("20150813175250", 0) == "modified:20150813175250|0"
    assert (version("", 5), version("20150813175250", None)) == (None, None)
