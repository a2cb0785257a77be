"""The reader in docs/writing-a-reader.md, word for word, as somebody else's package beside syncd."""

import os
import re
import subprocess
from pathlib import Path

from tests.acceptance.cli import SYNCD, Folder, sync
from tests.miniatures.miniature import Miniature, served, sha256

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-reader.md").read_text("utf-8")


class Tsv(Miniature):
    """An archive with a list in each folder."""

    reader = "tsv"
    at = "/scenes/"

    def begin(self):
        return {"a b.tif": b"II*\0" * 100, "2024/c.tif": b"II*\0", "2024/05/d.tif": b""}

    def change(self):
        self.files |= {"a b.tif": b"II*\0again", "2024/05/e.tif": b"new"}
        del self.files["2024/05/d.tif"]

    def answer(self, path, query, origin):
        name = path.removeprefix(self.at)
        folder = name.removesuffix("list.tsv")
        if folder == name:
            return self.files.get(name)
        inside = [path.removeprefix(folder) for path in sorted(self.files) if path.startswith(folder)]
        rows = [f"{n}\t{len(self.files[folder + n])}\t{sha256(self.files[folder + n])}" for n in inside if "/" not in n]
        rows += [f"{n}/" for n in sorted({n.split("/")[0] for n in inside if "/" in n})]
        return "".join(f"{row}\n" for row in rows)


def install(folder):
    """Put the module and the entry point of the page where Python finds packages."""
    (module,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (project,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    points = project.replace('[project.entry-points."syncd.readers.v1"]', "[syncd.readers.v1]").replace('"', "")
    about = folder / "syncd_tsv-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "syncd_tsv.py").write_text(module)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: syncd-tsv\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(points)
    return module


def refused(manifest, environ):
    done = subprocess.run(
        [SYNCD, "check", manifest], env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    return done.stdout + done.stderr


def test_the_reader_of_the_page_mirrors_as_a_plug_in(tmp_path):
    module = install(tmp_path / "plug-ins")
    code = module.split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 45
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "scenes.yaml"
    store.environ = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "plug-ins"), os.environ.get("PYTHONPATH", "")])}
    (written,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    upstream = Tsv()
    with served(upstream.app()) as origin:
        manifest.write_text(written.replace("https://archive.example.org", origin) + "guard: {max_removed: 100%}\n")
        allowed = ("--allow-private", origin)
        first = sync(store, state, manifest, *allowed)
        assert (first["fetched"], first["complete"]) == (3, True)
        assert store.read("scenes/") == upstream.copy()
        upstream.change()
        second = sync(store, state, manifest, *allowed)
        assert [second[key] for key in ("fetched", "replaced", "removed", "kept")] == [1, 1, 1, 1]
        misspelt = tmp_path / "misspelt.yaml"
        misspelt.write_text(manifest.read_text().replace("list: list.tsv", "lst: list.tsv"))
    assert "source.lst: is not a known key: did you mean list?" in refused(misspelt, store.environ)


def test_nothing_of_it_is_left_where_it_is_not_installed(tmp_path):
    manifest = tmp_path / "scenes.yaml"
    manifest.write_text("mirror: scenes\nsource: {url: 'https://archive.example.org/', reader: tsv}\n")
    assert "source.reader: is not a known reader" in refused(manifest, {})
