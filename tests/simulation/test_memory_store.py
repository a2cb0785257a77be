"""The store of the simulation is a store: it keeps the contract that real ones keep."""

import random
import time

import pytest

from tests.contracts.store_contract import StoreContract
from tests.simulation.memory_store import Shelf, SimulatedStore, StoreTrouble


class TestSimulated(StoreContract):
    @pytest.fixture(params=["folder", "objects"])
    async def reopen(self, request):
        shelf, chance = Shelf(is_bucket=request.param == "objects"), random.Random(1)
        shelf.clock = time.time

        async def open_again():
            return SimulatedStore(shelf, chance, StoreTrouble(delays=(0.0,)))

        return open_again

    @pytest.fixture
    async def store(self, reopen):
        return await reopen()

    async def test_a_probe_finds_the_store_good_and_leaves_nothing(self, store):
        """It would ask a server; there is none."""
