"""Every ready manifest, mirrored from a miniature of its upstream: the very text, of which only origins are others."""

import json
import re
import subprocess
from contextlib import ExitStack

import pytest
from aiohttp import web

from manifests.model.mirror import load_mirror
from syncd.cli import library
from tests.acceptance.archive_passes import Seen, held, verdicts
from tests.acceptance.cli import Folder, start
from tests.miniatures.buckets import Buckets
from tests.miniatures.miniature import served
from tests.miniatures.physionet import PASSWORD, USER
from tests.miniatures.ready import UPSTREAMS
from tests.miniatures.selective import PAID, TOKEN, InBucket, InFolder
from tests.servers.ftp import vsftpd
from tests.servers.sftp import sftp

pytestmark = pytest.mark.timeout(900)  # one command mirrors everything, and the machine may be busy

READY = {ready.name: ready for ready in library.library()}
ENVIRON = {
    "PHYSIONET_PASSWORD": PASSWORD,
    "A_TOKEN": TOKEN,
    "AWS_ACCESS_KEY_ID": "AKIAREADER",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
BEARERS = {"laads", "lance", "gesdisc", "podaac", "copernicus"}


def rewritten(text, origin, endpoint):
    """The manifest as it asks loopback: its web addresses, and the S3 server, are other origins. Nothing else changes."""
    text = re.sub(r"^(  (?:url|download): )(?:https|ftp|sftp)://[^/\s]+", rf"\g<1>{origin}", text, flags=re.MULTILINE)
    text = re.sub(r"^  endpoint: .*\n", "", text, flags=re.MULTILINE)
    in_buckets = "  url: s3://" in text or "  requester_pays: true" in text
    return (
        re.sub(r"^(  url: .*\n)", rf"\g<1>  endpoint: {endpoint}\n", text, flags=re.MULTILINE) if in_buckets else text
    )


def credential(name, manifest_origin, lines):
    """The credential as the manifest says to fill it in, but for the origin."""
    if name == "physionet":
        return f'{{origin: "{manifest_origin}", basic: {{username: {USER}, password: {{env: PHYSIONET_PASSWORD}}}}}}'
    if name == "gosat-2":
        return f'{{origin: "{manifest_origin}", basic: {{username: {USER}, password: {{env: PHYSIONET_PASSWORD}}}}}}'
    if name in BEARERS:
        return f'{{origin: "{manifest_origin}", bearer: {{env: A_TOKEN}}}}'
    assert name == "usgs-landsat"
    assert "s3://usgs-landsat" in lines[0]
    return '{origin: "s3://usgs-landsat", s3: {access_key_id: AKIAREADER, secret_access_key: {env: AWS_SECRET_ACCESS_KEY}}}'


@web.middleware
async def strict(request, handler):
    """What a miniature did not expect is refused, not tried again and again."""
    try:
        return await handler(request)
    except (AssertionError, KeyError, ValueError) as error:
        return web.Response(status=400, text=repr(error))


def served_folder(upstream, folder):
    """A real server of the manifest's scheme over the upstream's files; yields its origin."""
    upstream.fill_folder(folder / "root")
    if upstream.scheme == "sftp":
        return sftp(folder / "root", folder.parent / "home/.ssh/known_hosts", USER, PASSWORD)
    (folder / "root").chmod(0o555)  # vsftpd refuses a top that may be written to
    return vsftpd(folder / "root", folder / "work")


def strictly(app):
    app.middlewares.append(strict)
    return app


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """One pass over the whole library, by one command."""
    folder = tmp_path_factory.mktemp("library")
    store, buckets = Folder(folder / "store"), Buckets(PAID)
    store.environ = ENVIRON | {"HOME": str(folder / "home")}
    manifests, config, seen, origins = [], folder / "syncd.yaml", {}, []
    with ExitStack() as stack:
        endpoint = stack.enter_context(served(buckets.app()))
        credentials = {}
        for name, ready in READY.items():
            upstream = UPSTREAMS[name]
            if hasattr(upstream, "fill"):
                upstream.fill(buckets)
            origin = endpoint
            if hasattr(upstream, "app"):
                origin = stack.enter_context(served(strictly(upstream.app())))
            elif isinstance(upstream, InFolder):
                serving = stack.enter_context(served_folder(upstream, folder / name))
                origin = serving if isinstance(serving, str) else serving.origin
            origins.append(origin)
            text = rewritten(ready.text, origin, endpoint)
            wanted = ready.mirror.source.credentials
            if wanted is not None:  # two manifests may name one credential: here they are on two origins
                text = text.replace(f"  credentials: {wanted}\n", f"  credentials: {name}\n")
                credentials[name] = credential(wanted, origin, ready.to_fill_in)
            assert f"  url: {origin}" in text or f"  endpoint: {endpoint}" in text, "would ask the real upstream"
            manifests.append(folder / f"{name}.yaml")
            manifests[-1].write_text(text)
        lines = [f"  {name}: {entry}\n" for name, entry in credentials.items()]
        config.write_text(f"allow_private: {json.dumps([*origins, endpoint])}\ncredentials:\n{''.join(lines)}")
        words = ("sync", *manifests, "--json", "--config", config)
        process = start(store, folder / "state", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=800)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"the passes did not end: {out[-600:]} {err[-2500:]}")
        said = {line["mirror"]: line for line in map(json.loads, out.splitlines()) if "mirror" in line}
        events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        for name, ready in READY.items():
            one = said.get(name, {})
            failed = [e for e in events if e.get("mirror") == name and ("Failed" in e.get("event", "") or "error" in e)]
            copy = held(store, name, one["snapshot"], ready.mirror.prefix) if one.get("snapshot") else {}
            seen[name] = Seen(UPSTREAMS[name].copy(), copy, one, verdicts(events, name)), failed
        yield seen, buckets, err


@pytest.mark.parametrize("name", READY)
def test_a_ready_manifest_mirrors_what_it_wants_and_nothing_else(passes, name):
    seen, failed = passes[0][name]
    assert sorted(seen.copy) == sorted(seen.upstream), failed or passes[2][-2000:]
    assert seen.copy == seen.upstream
    assert (seen.said["complete"], seen.said["failed"], seen.said["fetched"]) == (True, 0, len(seen.copy)), failed


PROMISES = ("MD5", "the MD5", "the SHA-256", "sha256 of", "sha2-512 of", "checksums of")
LISTS = ("SHA256SUMS.txt", "RELEASE.metalink", "md5checksums.txt", "assembly_summary.txt", ".md5", ".index")


@pytest.mark.parametrize("name", READY)
def test_what_is_said_to_be_verified_is(passes, name):
    seen, _ = passes[0][name]
    said = READY[name].note("verified")
    is_promised = said.startswith(PROMISES)
    files = {path: verdict for path, verdict in seen.verdicts.items() if not path.endswith(LISTS)}
    assert files
    assert set(files.values()) == {"verified" if is_promised else "attested"}, said


def test_buckets_are_asked_without_a_signature_or_by_who_pays(passes):
    asked = passes[1].asked
    assert {bucket for _, bucket, *_ in asked} == set(passes[1].buckets)
    for _, bucket, _, headers, _ in asked:
        is_paid = bucket in PAID
        assert (headers.get("x-amz-request-payer") == "requester") == is_paid
        assert ("Authorization" in headers) == is_paid
        assert headers["User-Agent"].startswith("syncd/")


def test_a_prefix_is_listed_and_no_more(passes):
    prefixes = {
        (bucket, query["prefix"]) for _, bucket, key, _, query in passes[1].asked if "prefix" in query and not key
    }
    for upstream in UPSTREAMS.values():
        if isinstance(upstream, InBucket):
            assert any(bucket == upstream.bucket and prefix == upstream.prefix for bucket, prefix in prefixes)
    assert not any(key.startswith("elsewhere/") for _, _, key, *_ in passes[1].asked)


def test_a_credential_opens_what_is_closed_and_nobody_else_gets_it(passes):
    assert passes
    for name, upstream in UPSTREAMS.items():
        authorized = [r.path for r in getattr(upstream, "asked", ()) if "Authorization" in r.headers]
        assert bool(authorized) == (READY[name].mirror.source.credentials is not None and hasattr(upstream, "asked"))


@pytest.mark.parametrize("name", READY)
def test_nothing_but_origins_is_rewritten(name):
    text = READY[name].text
    new = rewritten(text, "http://127.0.0.1:1", "http://127.0.0.1:2")
    lines = [
        line
        for line in new.splitlines()
        if not line.startswith(("  endpoint: http://127.0.0.1:2", "  url: ", "  download: "))
    ]
    assert lines == [
        line for line in text.splitlines() if not line.startswith(("  endpoint: ", "  url: ", "  download: "))
    ]
    assert (
        load_mirror(new, name).source.url.partition("://")[2].partition("/")[2]
        == READY[name].mirror.source.url.partition("://")[2].partition("/")[2]
    )
