"""What the system says of a connection that fails is told in its own words, without those of the libraries."""

import errno
import socket
import ssl

import pytest

from transports.net.socket_policy import one_line


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 8798)"), "Connection refused"),
        (TimeoutError(errno.ETIMEDOUT, "Connect call failed ('192.0.2.1', 443)"), "Connection timed out"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong\nversion number"), None),
        (OSError("Multiple exceptions:\n one, two"), "Multiple exceptions: one, two"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_error_is_told_in_one_line_in_the_words_of_the_system(error, told):
    assert one_line(error) == (told if told is not None else " ".join(str(error).split()))
