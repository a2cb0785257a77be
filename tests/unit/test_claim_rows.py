"""How claims are written in the Catalogue."""

import msgspec
from hypothesis import given, strategies as st

from syncd.catalogue.claims import _written

HEX = st.text("0123456789abcdef", min_size=1, max_size=64)


@given(st.dictionaries(st.sampled_from(["sha256", "md5"]), HEX | st.text(max_size=9), min_size=1))
def test_digests_are_written_as_the_encoder_writes_them(digests):
    assert _written(digests).encode() == msgspec.json.encode(digests)
