"""What lies under deploy/ as an example works as it is."""

import json
import subprocess
import sys
from pathlib import Path

from manifests.model.mirror import load_mirror
from syncd.config.load import Config, load_config

ROOT = Path(__file__).parents[2]
MANIFESTS = sorted((ROOT / "deploy" / "manifests.d").glob("*.yaml"))


def test_the_example_manifests_pass_the_check_together():
    syncd = Path(sys.executable).with_name("syncd")
    done = subprocess.run(
        [syncd, "check", ROOT / "deploy" / "manifests.d", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout) == {"files": len(MANIFESTS), "problems": [], "disabled": []}
    assert len(MANIFESTS) >= 3


def test_each_example_manifest_is_named_as_its_mirror_and_shows_another_reader():
    mirrors = [load_mirror(file.read_bytes(), str(file)) for file in MANIFESTS]
    assert [mirror.name for mirror in mirrors] == [file.stem for file in MANIFESTS]
    assert len({mirror.source.reader for mirror in mirrors}) == len(mirrors)


def test_the_example_configuration_shows_every_key_with_its_default():
    example = load_config(ROOT / "deploy" / "syncd.yaml", environ={})
    places = {"state", "store", "manifests", "credentials"}  # these are the reader's own
    for name in Config.model_fields.keys() - places:
        assert getattr(example, name) == getattr(Config(), name), name
