#!/usr/bin/env bash
# Builds the image where no container registry can be reached: debootstrap makes the base that the Containerfile builds on.
#
#   deploy/container/build-offline.sh [dist/syncd-image.tar]
#
# Needs root, debootstrap, buildah, Python 3.11 and a package index for pip; about 2 GB under /var/tmp while it works, and
# nothing afterwards but the archive (oci-archive: podman load, skopeo copy). BASE_FOLDER=DIR keeps the base for the next time.
set -euo pipefail
cd "$(dirname "$0")/../.."

archive=${1:-dist/syncd-image.tar}
work=$(mktemp --directory /var/tmp/syncd-image.XXXXXX)
base=${BASE_FOLDER:-$work/base}
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
export CONTAINERS_STORAGE_CONF=$work/storage.conf
printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/storage"\n' "$work" "$work" >"$CONTAINERS_STORAGE_CONF"

forget() {
    buildah rm --all >/dev/null 2>&1 || true
    buildah rmi --all --force >/dev/null 2>&1 || true
    rm -rf --one-file-system "$work"
}
trap forget EXIT

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

if [[ ! -x $base/usr/bin/python3 ]]; then
    say 'the base: Debian, Python, certificates'
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$base" >"$work/debootstrap.log" ||
        { tail -5 "$work/debootstrap.log" >&2; exit 1; }
    rm -rf "$base"/var/cache/apt/archives/*.deb "$base"/var/lib/apt/lists/*
fi
container=$(buildah from scratch)
buildah copy --quiet "$container" "$base" / >/dev/null
buildah commit --quiet --rm "$container" localhost/syncd-base >/dev/null

say 'the wheels, as the lock names them'
python3 -m pip --quiet download --dest "$work/wheels" --no-deps --only-binary :all: --require-hashes \
    --requirement requirements-runtime.lock

say 'the image'
buildah bud --quiet --file deploy/container/Containerfile --tag localhost/syncd \
    --volume "$work/wheels:/wheels:ro" \
    --build-arg BASE=localhost/syncd-base \
    --build-arg PIP_OPTIONS='--no-index --find-links /wheels' \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --build-arg CREATED="$(date --utc +%Y-%m-%dT%H:%M:%SZ)" \
    . >/dev/null

say 'what it says of itself, as the user it runs as'
container=$(buildah from localhost/syncd)
buildah run "$container" -- sh -c 'id; python3 --version; syncd --help | head -1; wc -l < /opt/syncd/packages.txt'

say 'a pass, and a daemon that answers'
buildah run "$container" -- sh -eu -c '
    mkdir /tmp/source; echo hello > /tmp/source/a
    printf "mirror: m\nsource: {url: file:///tmp/source/}\nschedule: {every: 1h}\n" > /tmp/m.yaml
    syncd sync /tmp/m.yaml --store /srv/mirrors --state /var/lib/syncd/state
    printf "state: /var/lib/syncd/state\nstore: {url: /srv/mirrors}\nmanifests: [/tmp/m.yaml]\nlisten: 127.0.0.1:8750\n" > /tmp/syncd.yaml
    syncd run --config /tmp/syncd.yaml & daemon=$!
    python3 -c "
import time, urllib.request
for _ in range(300):
    try:
        print(urllib.request.urlopen(\"http://127.0.0.1:8750/readyz\", timeout=5).read().decode())
        break
    except OSError:
        time.sleep(0.2)
else:
    raise SystemExit(\"it does not answer\")
"
    kill -TERM $daemon; wait $daemon'
buildah rm "$container" >/dev/null

mkdir -p "$(dirname "$archive")"
rm -f "$archive"
buildah push --quiet localhost/syncd "oci-archive:$archive:localhost/syncd:latest"
say "$(du -h "$archive" | cut -f1) in $archive"
