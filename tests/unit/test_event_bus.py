"""Whoever listens from outside hears everything in order, or is told how much is missing."""

from syncd.core.events import EventsLost, SurveyStarted, TransferAdvanced
from syncd.daemon.event_bus import EventBus


async def heard(subscription):
    return [event async for event in subscription]


async def test_a_subscriber_hears_all_but_bytes_on_their_way():
    feed = EventBus()
    with feed.subscribed() as one, feed.subscribed() as other:
        for n in range(3):
            feed(SurveyStarted(str(n)))
            feed(TransferAdvanced("m", "p", 1))
        feed.end()
        assert await heard(one) == await heard(other) == [SurveyStarted("0"), SurveyStarted("1"), SurveyStarted("2")]


async def test_a_slow_subscriber_is_told_how_much_it_lost_where_it_lost_it():
    feed = EventBus()
    with feed.subscribed(2) as slow:
        for n in range(5):
            feed(SurveyStarted(str(n)))
        events = aiter(slow)
        assert [await anext(events), await anext(events)] == [SurveyStarted("0"), SurveyStarted("1")]
        feed(SurveyStarted("5"))
        feed.end()
        assert [event async for event in events] == [EventsLost("", 3), SurveyStarted("5")]


async def test_who_comes_after_the_end_waits_for_nothing():
    feed = EventBus()
    feed.end()
    with feed.subscribed() as late:
        assert await heard(late) == []
