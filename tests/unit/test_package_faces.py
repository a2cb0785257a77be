"""The faces of packages: what their stubs name is what they give."""

from pathlib import Path

import lazy_loader
import pytest

from manifests.package_face import face

ROOT = Path(__file__).parents[2]
STUBS = sorted(stub for tree in ("manifests", "transports", "syncd") for stub in (ROOT / tree).rglob("__init__.pyi"))


def test_there_are_stubs():
    assert len(STUBS) > 20


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: str(stub.parent.relative_to(ROOT)))
def test_a_face_has_every_name_of_its_stub(stub):
    package, file = ".".join(stub.parent.relative_to(ROOT).parts), str(stub).removesuffix("i")
    *_, parsed = lazy_loader.attach_stub(package, file)
    *_, names = face(package, file)
    assert names == parsed
    assert len(names) == stub.read_text().count(" as ")
