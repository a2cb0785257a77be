"""Certificates for the servers of these tests."""

import pytest

from tests.servers.tls import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))
