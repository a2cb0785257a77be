"""A set of keys follows another one by as many signatures as both ask for, and by no other way."""

import pytest
from hypothesis import given, strategies as st

from manifests.minisign import SignatureError
from manifests.node_keys import TrustedKeys, follow_chain
from syncd.exchange import SecretKey, begin_chain, next_chain

KEYS = {name: SecretKey(name.encode() * 8, bytes([n]) * 32) for n, name in enumerate("abcd", 1)}
NOW = 1_700_000_000.0


def public(names):
    return [KEYS[name].public.text for name in names]


def chain_of_two():
    """Return a chain whose last set has two keys, and asks for both."""
    first = begin_chain("cn-one", KEYS["a"], NOW)
    return next_chain(first, public("ab"), [KEYS["a"], KEYS["b"]], NOW, threshold=2)


@given(st.sets(st.sampled_from("abcd"), min_size=1, max_size=4), st.integers(1, 2))
def test_the_next_set_needs_the_threshold_of_the_set_before_and_its_own(signers, threshold):
    """It has b and c, and is to follow a set of a and b, which both must sign."""
    enough = {"a", "b"} <= signers and len({"b", "c"} & signers) >= threshold
    given_keys = [KEYS[one] for one in signers]
    if not enough:
        with pytest.raises(SignatureError):
            next_chain(chain_of_two(), public("bc"), given_keys, NOW, threshold=threshold)
        return
    longer = next_chain(chain_of_two(), public("bc"), given_keys, NOW, threshold=threshold)
    trusted = follow_chain(longer, TrustedKeys(tuple(public("a"))), NOW)  # from the key of a manifest on
    assert (trusted.version, trusted.threshold, list(trusted.keys)) == (3, threshold, public("bc"))


def test_a_key_that_signs_twice_counts_once():
    with pytest.raises(SignatureError, match="not signed by those before it"):
        next_chain(chain_of_two(), public("bc"), [KEYS["b"], KEYS["b"], KEYS["c"]], NOW)


def test_a_set_that_asks_for_more_keys_than_it_has_is_none():
    with pytest.raises(SignatureError, match="none that can be met"):
        next_chain(chain_of_two(), public("bc"), list(KEYS.values()), NOW, threshold=3)


def test_followers_do_not_leave_out_a_set_nor_go_back():
    two = chain_of_two()
    three = next_chain(two, public("bc"), [KEYS["a"], KEYS["b"], KEYS["c"]], NOW)
    four = next_chain(three, public("cd"), [KEYS["b"], KEYS["c"]], NOW)
    without = type(four)(four.node, (*four.sets[:2], four.sets[3]))
    with pytest.raises(SignatureError):
        follow_chain(without, TrustedKeys(tuple(public("ab")), 2, 2), NOW)
    trusted = follow_chain(four, TrustedKeys(tuple(public("a"))), NOW)
    assert follow_chain(two, trusted, NOW) == trusted  # an older document takes nothing back
