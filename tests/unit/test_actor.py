"""Who acts is a name for the log, and keeps by which door the act came."""

import copy
import pickle

import msgspec

from syncd.control import Actor, actor_of


def test_an_actor_is_its_name_and_keeps_its_door_in_a_copy() -> None:
    actor = Actor("ada", "socket", uid=1000)
    for one in (actor, copy.copy(actor), copy.deepcopy(actor), pickle.loads(pickle.dumps(actor))):
        assert one == "ada"
        assert (one.door, one.uid, one.token) == ("socket", 1000, "")
    assert type(str(actor)) is str
    assert msgspec.json.encode(str(actor)) == b'"ada"'


def test_a_name_alone_is_an_actor_of_no_door() -> None:
    assert (actor_of("ada"), actor_of("ada").door) == ("ada", "")
    actor = Actor("ada", "page", token="1f")
    assert actor_of(actor) is actor
