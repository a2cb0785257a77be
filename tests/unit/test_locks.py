"""The locks pin every dependency of the project, each with hashes, and name no place to get it from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ("requirements.lock", "requirements-runtime.lock")
EXTRAS = PROJECT["project"]["optional-dependencies"]
NEEDED = [*PROJECT["project"]["dependencies"], *EXTRAS["ftp"], *EXTRAS["sftp"], *EXTRAS["inventory"]]
NEEDED += PROJECT["build-system"]["requires"]
FOR_DEVELOPERS = [*PROJECT["dependency-groups"]["dev"], *PROJECT["dependency-groups"]["docs"]]


def pinned(name):
    """The versions and the hashes of a lock, by the name of the package."""
    found = {}
    for block in re.split(r"\n(?=\S)", (ROOT / name).read_text("utf-8")):
        if (pin := re.match(r"([\w.-]+)==(\S+)", block)) is not None:
            assert canonicalize_name(pin[1]) not in found
            found[canonicalize_name(pin[1])] = (pin[2], re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_its_version_and_its_hashes_and_nothing_else_stands_there(name):
    packages = pinned(name)
    assert len(packages) > 40
    assert all(hashes for _, hashes in packages.values())
    lines = [line.strip(" \\") for line in (ROOT / name).read_text("utf-8").splitlines()[1:]]
    strange = [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+]+|--hash=sha256:[0-9a-f]{64}", line)]
    assert strange == []


@pytest.mark.parametrize(("name", "needed"), [(LOCKS[0], NEEDED + FOR_DEVELOPERS), (LOCKS[1], NEEDED)], ids=LOCKS)
def test_what_the_project_asks_for_is_locked_at_a_version_it_allows(name, needed):
    packages = pinned(name)
    for one in map(Requirement, needed):
        version, _ = packages[canonicalize_name(one.name)]
        assert one.specifier.contains(version, prereleases=True), one


def test_what_an_installation_gets_is_what_the_tests_ran_with():
    everything = pinned(LOCKS[0])
    assert pinned(LOCKS[1]).items() <= everything.items()
