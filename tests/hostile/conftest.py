"""The http transport is tried on both event loops: their sockets, closes and resets are not the same."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(item):
    loops = {"asyncio": asyncio.new_event_loop}
    return {**loops, "uvloop": uvloop.new_event_loop} if item.path.name.startswith("test_http_") else loops
