"""The contract of stores, held by a folder and by real S3 servers: Swift and Ceph, over http and TLS."""

import pytest

from syncd.stores.filesystem.store import FilesystemStore
from syncd.wrappers.metered_store import Meter, MeteredStore
from tests.contracts.store_contract import StoreContract, SummingContract


class OnS3(StoreContract):
    @pytest.fixture
    async def reopen(self, server):
        url, opened = server.url(), []

        async def open_again():
            opened.append(server.store(url))
            return opened[-1]

        yield open_again
        for store in opened:
            await store.aclose()

    @pytest.fixture
    async def store(self, reopen):
        return await reopen()


class TestFolder(SummingContract):
    @pytest.fixture
    async def reopen(self, tmp_path):
        opened = []

        async def open_again():
            opened.append(FilesystemStore(tmp_path / "store"))
            opened[-1].piece = 1 << 16
            return opened[-1]

        yield open_again
        for store in opened:
            await store.aclose()

    @pytest.fixture
    async def store(self, reopen):
        return await reopen()


class TestFolderOfAWorker(TestFolder):
    """Who has its event loop for itself makes its changes there, and they are the same changes."""

    @pytest.fixture
    async def reopen(self, tmp_path):
        opened = []

        async def open_again():
            opened.append(FilesystemStore(tmp_path / "store", alone=True))
            opened[-1].piece = 1 << 16
            return opened[-1]

        yield open_again
        for store in opened:
            await store.aclose()


class TestMetered(StoreContract):
    """A store whose operations are timed is still a store."""

    @pytest.fixture
    async def reopen(self, tmp_path):
        opened = []

        async def open_again():
            opened.append(FilesystemStore(tmp_path / "store"))
            opened[-1].piece = 1 << 16
            return MeteredStore(opened[-1], Meter())

        yield open_again
        for store in opened:
            await store.aclose()

    @pytest.fixture
    async def store(self, reopen):
        return await reopen()


@pytest.mark.swift
class TestSwift(OnS3):
    @pytest.fixture
    def server(self, swift):
        return swift


@pytest.mark.rgw
class TestCeph(OnS3):
    @pytest.fixture
    def server(self, rgw):
        return rgw


@pytest.mark.rgw
class TestCephOverTls(OnS3):
    @pytest.fixture
    def server(self, rgw_tls):
        return rgw_tls
