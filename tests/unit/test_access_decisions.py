"""Who may read what: never more open than the publisher allows, and private mirrors do not exist for strangers."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.access import ANYONE, Caller, access_of, may, opens_at
from manifests.model import Mirror
from manifests.model.publish import LEVELS, Publish

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = date(2027, 1, 31)
TERMS = Publish.model_validate({"terms": {"en": "Cite us."}})
ORDER = ("open", "registered", "restricted", "private")
PARTS: Any = ("metadata", "listing", "bytes")


def mirror(publish: dict[str, Any] | None = None, name: str = "landsat", **about: Any) -> Mirror:
    block = {"publish": publish} if publish is not None else {}
    return Mirror.model_validate({"mirror": name, "source": {"url": "https://h/"}, "about": about, **block})


@st.composite
def mirrors(draw: st.DrawFn) -> Mirror:
    about: dict[str, Any] = {}
    if (stated := draw(st.sampled_from([None, *LEVELS]))) is not None:
        about["access"] = stated
    if stated == "embargoed" and draw(st.booleans()):
        about["embargo"] = DAY.isoformat()
    about["redistribution"] = draw(st.sampled_from(["allowed", "conditions", "forbidden", "unknown"]))
    publish: dict[str, Any] | None = None
    if draw(st.booleans()):
        wanted = draw(st.sampled_from([None, "open", "registered", "restricted"]))
        publish = {"access": wanted} if wanted else {}
        if draw(st.booleans()):
            publish["terms"] = {"en": "Cite us."}
    try:
        return mirror(publish, **about)
    except ValidationError:  # `check` refuses it; the decision must be safe by itself
        made = mirror(None, **{**about, "redistribution": "unknown"} if "embargo" not in about else about)
        loose = mirror(publish)
        return made.model_copy(
            update={
                "publish": loose.publish,
                "about": made.about.model_copy(update={"redistribution": about["redistribution"]}),
            }
        )


globs = st.none() | st.lists(st.sampled_from(["landsat", "land*", "other", "*"]), max_size=2).map(tuple)
callers = st.builds(
    Caller,
    name=st.just("x"),
    role=st.sampled_from(["", "reader", "operator", "partner"]),
    mirrors=globs,
    accepted=st.sampled_from([frozenset(), frozenset({TERMS.terms_version})]),
    until=st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
)
times = st.integers(-30, 90).map(lambda days: NOW + timedelta(days=days))


@given(mirrors(), times)
def test_a_mirror_is_never_more_open_than_its_publisher_says(one: Mirror, now: datetime):
    level, stated = access_of(one, now), one.about.access
    assert one.publish is not None or level == "private"
    assert one.about.redistribution != "forbidden" or level == "private"
    if stated == "embargoed" and (one.about.embargo is None or now.date() < one.about.embargo):
        assert ORDER.index(level) >= ORDER.index("restricted")
    elif stated is not None and stated != "embargoed":
        assert LEVELS.get(level, 3) >= LEVELS[stated]
    assert stated is not None or level != "open" or (one.publish is not None and one.publish.access == "open")


@given(mirrors(), callers, st.sampled_from(PARTS), times)
def test_who_may_read_the_bytes_may_read_what_describes_them(one: Mirror, who: Caller, part: Any, now: datetime):
    allowed = [may(who, one, which, now) == "allowed" for which in PARTS]
    assert allowed == sorted(allowed, reverse=True)


@given(mirrors(), callers, st.sampled_from(PARTS), times)
def test_a_private_mirror_answers_as_a_name_that_does_not_exist(one: Mirror, who: Caller, part: Any, now: datetime):
    is_staff = who.role in {"reader", "operator"} and who.names(one.name) and (who.until is None or who.until > now)
    if access_of(one, now) == "private" and not is_staff:
        assert may(who, one, part, now) == may(who, None, part, now) == "absent"


@given(mirrors(), callers, times)
def test_bytes_of_restricted_mirrors_go_to_partners_named_for_them_only(one: Mirror, who: Caller, now: datetime):
    if access_of(one, now) != "restricted" or may(who, one, "bytes", now) != "allowed":
        return
    assert who.until is None or who.until > now
    assert who.names("landsat")
    assert who.role == "operator" or (who.role == "partner" and who.mirrors is not None)


@given(mirrors(), callers, times)
def test_a_token_that_names_other_mirrors_is_worth_as_much_as_none(one: Mirror, who: Caller, now: datetime):
    if who.role and not who.names(one.name):
        for part in PARTS:
            assert (may(who, one, part, now) == "allowed") == (may(ANYONE, one, part, now) == "allowed")


@given(mirrors(), callers, times)
def test_an_expired_token_is_no_token(one: Mirror, who: Caller, now: datetime):
    if who.until is not None and who.until <= now:
        assert [may(who, one, part, now) for part in PARTS] == [may(ANYONE, one, part, now) for part in PARTS]


def test_an_embargo_ends_when_its_day_begins():
    one = mirror({"access": "open"}, access="embargoed", embargo=DAY.isoformat())
    ends = datetime(2027, 1, 31, tzinfo=UTC)
    assert opens_at(one) == ends
    assert access_of(one, ends - timedelta(seconds=1)) == "restricted"
    assert access_of(one, ends) == "open"


def test_terms_are_accepted_before_the_first_byte_and_again_when_they_change():
    one, other = (mirror({"access": "registered", "terms": {"en": text}}) for text in ("Cite us.", "Pay us."))
    assert one.publish is not None
    who = Caller("p", "partner")
    assert may(who, one, "bytes", NOW) == "terms"
    who = Caller("p", "partner", accepted=frozenset({one.publish.terms_version}))
    assert may(who, one, "bytes", NOW) == "allowed"
    assert may(who, other, "bytes", NOW) == "terms"


def test_strangers_are_asked_for_a_token_and_partners_of_others_are_denied():
    one = mirror({"access": "restricted"})
    assert may(ANYONE, one, "metadata", NOW) == "allowed"
    assert may(ANYONE, one, "bytes", NOW) == "token"
    assert may(Caller("p", "partner"), one, "bytes", NOW) == "denied"
    assert may(Caller("p", "partner", ("modis",)), one, "bytes", NOW) == "denied"
    assert may(Caller("p", "partner", ("land*",)), one, "bytes", NOW) == "allowed"
    assert may(Caller("r", "reader"), one, "bytes", NOW) == "denied"
