"""The hash chain of the audit log: what was changed, cut or swapped is found, and named by its number."""

import hashlib
import json
import multiprocessing

import apsw
import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from manifests.messages import count, message, plain
from syncd.catalogue import Catalogue, append_audit_entry
from syncd.catalogue.schema import STEPS
from syncd.core import CUT, GAP, GENESIS, Anchor, AuditView, Damaged, KeyChange, audit_hash, check_chain, message_view

TEXT = st.text(max_size=12)
OUTCOMES = st.one_of(
    TEXT,
    st.builds(lambda n: count(n, "{n} file", "{n:,} files"), st.integers(0, 10**12)),
    st.builds(lambda a, b: message("{a}: {b}", a=a, b=message("no {c}", c=[b])), TEXT, TEXT),
)
ACTS = st.builds(
    AuditView,
    id=st.just(0),
    at=st.floats(0, 4e9, allow_nan=False),
    who=TEXT,
    door=st.sampled_from(["", "cli", "api", "file"]),
    what=st.sampled_from(["sync", "approve", "forget"]),
    mirror=st.sampled_from(["", "m", "other"]),
    changes=st.lists(st.builds(KeyChange, key=TEXT, old=st.none() | TEXT, new=st.none() | TEXT), max_size=2).map(tuple),
    details=st.dictionaries(TEXT, TEXT, max_size=2),
    outcome=OUTCOMES,
)


def chained(acts):
    entries, before = [], GENESIS
    for number, act in enumerate(acts, 1):
        view = message_view(act.outcome)
        entry = msgspec.structs.replace(act, id=number, previous=before, message=view)
        entries.append(msgspec.structs.replace(entry, hash=audit_hash(entry)))
        before = entries[-1].hash
    return entries


def end_of(entries):
    return Anchor(entry=entries[-1].id, hash=entries[-1].hash)


def exported(entries):
    return [msgspec.json.encode(one, enc_hook=plain) for one in entries]


@given(st.lists(ACTS, max_size=6))
def test_a_log_as_it_was_written_fits_and_so_does_its_export(acts):
    entries = chained(acts)
    again = [msgspec.json.decode(line, type=AuditView) for line in exported(entries)]
    for one in (entries, again):
        found = check_chain(one, [end_of(entries)] if entries else ())
        assert (found.misfit, found.entries) == (None, len(acts))


@given(st.lists(ACTS, min_size=1, max_size=4))
def test_the_rule_of_the_hash_can_be_followed_without_syncd(acts):
    before = GENESIS
    for line in exported(chained(acts)):
        entry = json.loads(line)
        told = entry.pop("hash")
        canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        assert (entry["previous"], hashlib.sha256(canonical.encode()).hexdigest()) == (before, told)
        before = told


@given(st.lists(ACTS, min_size=1, max_size=6), st.data())
def test_the_first_entry_that_was_changed_is_named(acts, data):
    entries = chained(acts)
    at = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(["who", "what", "mirror", "outcome", "door", "at", "details", "changes", "hash"]))
    other = {"at": entries[at].at + 1, "details": {"x": "y", "z": "w", "q": "r"}, "changes": (KeyChange(key="k"),) * 3}
    changed = msgspec.structs.replace(entries[at], **{field: other.get(field, f"{getattr(entries[at], field)}!")})
    found = check_chain([*entries[:at], changed, *entries[at + 1 :]], [end_of(entries)])
    assert found.misfit is not None
    assert found.misfit.entry == at + 1


@given(st.lists(ACTS, min_size=1, max_size=7), st.data())
def test_a_cut_is_found_wherever_it_is(acts, data):
    entries = chained(acts)
    first = data.draw(st.integers(0, len(entries) - 1))
    last = data.draw(st.integers(first + 1, len(entries)))
    found = check_chain([*entries[:first], *entries[last:]], [end_of(entries)])
    assert found.misfit is not None
    assert "missing" in found.misfit.reason
    assert found.misfit.entry == first + 1


@given(st.lists(ACTS, min_size=2, max_size=6), st.data())
def test_a_chain_that_was_written_again_from_some_entry_on_differs_from_the_anchor(acts, data):
    entries = chained(acts)
    at = data.draw(st.integers(0, len(acts) - 1))
    forged = chained([*acts[:at], msgspec.structs.replace(acts[at], who=acts[at].who + "!"), *acts[at + 1 :]])
    assert check_chain(forged).misfit is None
    found = check_chain(forged, [end_of(entries)])
    assert found.misfit is not None
    assert found.misfit.entry == len(entries)


def add(log, number, **more):
    return log.add_audit(at=float(number), who="ada", what="sync", mirror="m", outcome=f"{number}", **more)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["add", "add", "forget", "skip"]), max_size=14))
def test_any_history_of_acts_retention_and_gaps_fits_but_for_the_gaps(tmp_path_factory, steps):
    with Catalogue(tmp_path_factory.mktemp("state")) as catalogue:
        log, gaps = catalogue.pass_history, 0
        for number, step in enumerate(steps, 1):
            if step == "add":
                add(log, number)
            elif step == "forget":
                log.forget_audit(number - 2.0, number * 100_000.0)
            elif log.skip_audit_to(Anchor(entry=number * 10, hash="f" * 64), float(number)) is not None:
                gaps += 1
        shown = log.check_audit()
        is_gap_there = any(one.what == GAP for one in log.audit_entries())
        assert (shown.misfit is not None) == is_gap_there
        assert shown.entries == len(log.audit(None, 1_000))


def test_retention_is_an_entry_that_proves_the_cut_and_others_prove_nothing(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        log = catalogue.pass_history
        for number in range(1, 7):
            add(log, number)
        assert log.forget_audit(4.0, 10.0) == 3
        assert [one.what for one in log.audit_entries()] == ["sync", "sync", "sync", CUT]
        assert log.check_audit().misfit is None
        assert log.forget_audit(6.0, 11.0) == 0, "once a day"
        catalogue.database.do("DELETE FROM audit WHERE id=4")
        assert log.check_audit().misfit.entry == 1
        assert "1 to 4 are missing" in log.check_audit().misfit.reason


def test_a_log_of_nothing_but_cuts_is_not_cut_again(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        log = catalogue.pass_history
        add(log, 1)
        assert log.forget_audit(2.0, 10.0) == 1
        assert log.forget_audit(1e9, 2e9) == 0
        assert log.check_audit().misfit is None


def test_a_cut_at_the_end_is_found_in_the_catalogue_itself(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        log = catalogue.pass_history
        for number in range(1, 6):
            add(log, number)
        catalogue.database.do("DELETE FROM audit WHERE id>3")
        assert log.check_audit().misfit.entry == 4
        catalogue.database.do("DELETE FROM setting WHERE name='audit head'")
        assert "record of the last entry" in log.check_audit().misfit.reason
        assert log.check_audit([Anchor(entry=5, hash="0" * 64)]).misfit.entry == 4


def test_entries_of_an_older_syncd_are_chained_when_it_is_upgraded(tmp_path):
    tmp_path.joinpath("state").mkdir()
    db = apsw.Connection(str(tmp_path / "state/catalogue.sqlite"))
    for step in STEPS[:16]:
        db.execute(step)
    db.pragma("user_version", 16)
    for number in (7, 8, 11):  # it deleted what was past its retention, and wrote nothing about that
        db.execute(
            "INSERT INTO audit (id, at, who, what, mirror, outcome, message) VALUES (?,?,'ada','pause','m','paused','')",
            (number, float(number)),
        )
    db.close()
    with Catalogue(tmp_path / "state") as catalogue:
        log = catalogue.pass_history
        assert [(one.id, one.at, one.door) for one in log.audit_entries()] == [
            (1, 7.0, ""),
            (2, 8.0, ""),
            (3, 11.0, ""),
        ]
        assert log.check_audit().misfit is None
        assert add(log, 12).id == 4
    with Catalogue(tmp_path / "state") as catalogue:
        assert catalogue.pass_history.check_audit().entries == 4


def _add_apart(folder, name, number):
    for at in range(number):
        append_audit_entry(folder, at=float(at), who=name, what="revoke", mirror="", outcome="done", door="cli")


def test_several_processes_lengthen_one_chain_beside_the_one_that_holds_the_state(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    with Catalogue(tmp_path) as catalogue:
        log = catalogue.pass_history
        others = [spawn.Process(target=_add_apart, args=(tmp_path, f"p{n}", 15)) for n in range(2)]
        for one in others:
            one.start()
        for number in range(30):
            add(log, number)
        for one in others:
            one.join(60)
        assert [one.exitcode for one in others] == [0, 0]
        found = log.check_audit()
        assert (found.misfit, found.entries) == (None, 60)


def test_beside_a_catalogue_of_another_version_nothing_is_written(tmp_path):
    assert append_audit_entry(tmp_path / "none", at=1.0, who="a", what="x", mirror="", outcome="y") is None
    assert not (tmp_path / "none").exists()
    with Catalogue(tmp_path) as catalogue:
        catalogue.database.connection.pragma("user_version", 3)
    with pytest.raises(Damaged, match="older version 3"):
        append_audit_entry(tmp_path, at=1.0, who="a", what="x", mirror="", outcome="y")
