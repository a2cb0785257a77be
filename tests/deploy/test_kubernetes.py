"""deploy/kubernetes: valid for Kubernetes, restricted as its strictest policy wants, and the chart gives what the base gives.

Not run here: a cluster, the API server's own defaulting and admission, and Helm itself (tests/deploy/helm.py reads the part
of its templates that the chart uses). `kubectl kustomize` is compared with where it is installed.
"""

import copy
import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from manifests.model.mirror import load_mirror
from syncd.config.load import load_config
from tests.deploy.helm import Chart

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
BASE, CHART, EXAMPLE, MONITORING = (FOLDER / name for name in ("base", "chart", "overlays/example", "monitoring"))
VERSIONS = ("1.25", "1.34")
OPERATORS = ("monitoring.coreos.com/v1",)  # not Kubernetes' own: no schema to hold them against
OURS = {"app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of"}


def read(folder):
    """Every object that a kustomization names, the kustomization itself apart."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return [
        one
        for name in kustomization["resources"]
        if (folder / name).is_file()
        for one in yaml.safe_load_all((folder / name).read_text())
    ]


def chart(**values):
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    release = {"Name": "syncd", "Namespace": "mirrors", "Service": "Helm"}
    return Chart(CHART, {**defaults, **values}, release)


def named(objects):
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def program(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
GENERATE = program(ROOT / "deploy" / "generate.py")
BASE_OBJECTS = [*read(BASE), *read(MONITORING)]
CHART_OBJECTS = list(
    chart(monitoring={**VALUES["monitoring"], "serviceMonitor": True, "prometheusRule": True}).objects()
)


def test_every_file_is_named_and_every_name_is_a_file():
    for folder in (BASE, MONITORING):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        assert {*kustomization["resources"], "kustomization.yaml"} == {file.name for file in folder.iterdir()}
    kustomization = yaml.safe_load((EXAMPLE / "kustomization.yaml").read_text())
    for name in (*kustomization["resources"], *kustomization["components"]):
        assert (EXAMPLE / name).exists(), name
    for generator in kustomization["configMapGenerator"]:
        assert all((EXAMPLE / name).is_file() for name in generator["files"])
        assert ("ConfigMap", generator["name"]) in named(BASE_OBJECTS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "one", [*BASE_OBJECTS, *CHART_OBJECTS, *read(EXAMPLE)], ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_kubernetes_takes_every_object(one, version):
    if one["apiVersion"] in OPERATORS:
        assert one["spec"]
        return
    kubernetes_validate.validate(one, version, strict=True)


def test_what_kubernetes_would_refuse_is_refused_here():
    broken = copy.deepcopy(named(BASE_OBJECTS)["StatefulSet", "syncd"])
    broken["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("objects", [BASE_OBJECTS, CHART_OBJECTS], ids=["base", "chart"])
def test_the_pod_is_restricted_as_the_strictest_standard_wants(objects):
    pod = named(objects)["StatefulSet", "syncd"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert not any("hostPath" in volume for volume in pod["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


@pytest.mark.parametrize("objects", [BASE_OBJECTS, CHART_OBJECTS], ids=["base", "chart"])
def test_everything_that_refers_to_something_finds_it(objects):
    every = named(objects)
    stateful = every["StatefulSet", "syncd"]
    pod, labels = stateful["spec"]["template"]["spec"], stateful["spec"]["template"]["metadata"]["labels"]
    (container,) = pod["containers"]
    selectors = [
        stateful["spec"]["selector"]["matchLabels"],
        every["Service", "syncd"]["spec"]["selector"],
        every["NetworkPolicy", "syncd"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    monitored = every["ServiceMonitor", "syncd"]["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= every["Service", "syncd"]["metadata"]["labels"].items()
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in every["Service", "syncd"]["spec"]["ports"]} <= ports
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["port"] for probe in probes} <= ports
    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    claims = {claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes | claims
    assert ("ServiceAccount", pod["serviceAccountName"]) in every
    assert {
        ("ConfigMap", volume["configMap"]["name"]) for volume in pod["volumes"] if "configMap" in volume
    } <= every.keys()
    assert (stateful["spec"]["serviceName"], stateful["spec"]["replicas"]) == ("syncd", 1)


@pytest.mark.parametrize("kind", ["base", "chart", "example"])
def test_the_configuration_is_right_and_fits_the_volumes(kind, tmp_path):
    objects = BASE_OBJECTS if kind == "base" else CHART_OBJECTS
    text = named(objects)["ConfigMap", "syncd"]["data"]["syncd.yaml"]
    if kind == "example":
        text = (EXAMPLE / "syncd.yaml").read_text()
    file = tmp_path / "syncd.yaml"
    file.write_text(text)
    config = load_config(file, environ={})
    pod = named(objects)["StatefulSet", "syncd"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(config.state).startswith(mounted["state"] + "/")
    assert config.store.url == mounted["store"]
    assert [str(folder) for folder in config.manifests] == [mounted["manifests"]]
    assert config.listen == f"0.0.0.0:{container['ports'][0]['containerPort']}"
    assert "syncd" in config.api.hosts
    assert {"name": "CREDENTIALS_DIRECTORY", "value": mounted["credentials"]} in container["env"]
    assert pod["terminationGracePeriodSeconds"] > config.grace
    assert container["args"] == ["run", "--config", f"{mounted['configuration']}/syncd.yaml"]
    assert GENERATE.bound(config.budget, config.workers) <= quantity(container["resources"]["limits"]["memory"])


def quantity(written):
    return int(written[:-2]) * {"Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}[written[-2:]]


def test_the_example_manifest_is_one():
    (file,) = (
        file for file in EXAMPLE.glob("*.yaml") if file.read_text().count("mirror:") and "source:" in file.read_text()
    )
    assert load_mirror(file.read_bytes(), str(file)).name == file.stem
    assert file.read_text() == (ROOT / "deploy" / "manifests.d" / file.name).read_text()


def plain(one):
    """An object as the chart and the base have it in common: without Helm's labels and without the image."""
    one = copy.deepcopy(one)

    def strip(part):
        if isinstance(part, dict):
            for name, inner in part.items():
                if name in ("labels", "matchLabels", "selector") and isinstance(inner, dict) and OURS & inner.keys():
                    part[name] = {label: inner[label] for label in inner if label in OURS}
                else:
                    strip(inner)
        elif isinstance(part, list):
            for inner in part:
                strip(inner)

    strip(one)
    if one["kind"] == "ConfigMap":
        one["data"] = {name: yaml.safe_load(text) for name, text in one["data"].items()}
    if one["kind"] == "StatefulSet":
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert container.pop("image") == "syncd:0.2.0"
        container.pop("imagePullPolicy", None)
    return one


def test_the_chart_gives_what_the_base_gives():
    base, helm = named(BASE_OBJECTS), named(CHART_OBJECTS)
    assert base.keys() == helm.keys()
    for key in base:
        assert plain(helm[key]) == plain(base[key]), key


def test_values_change_what_they_name():
    manifest = {"mirror": "m", "source": {"url": "https://h/"}}
    objects = named(
        chart(
            manifests={"m.yaml": manifest},
            image={"repository": "r/syncd", "tag": "", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
            volumes={"state": {"size": "5Gi", "storageClass": "fast"}, "store": {"size": "", "storageClass": ""}},
            networkPolicy={"enabled": False, "from": []},
        ).objects()
    )
    assert ("NetworkPolicy", "syncd") not in objects
    assert ("PrometheusRule", "syncd") not in objects
    assert yaml.safe_load(objects["ConfigMap", "syncd-manifests"]["data"]["m.yaml"]) == manifest
    stateful = objects["StatefulSet", "syncd"]
    kubernetes_validate.validate(stateful, VERSIONS[-1], strict=True)
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"r/syncd@sha256:{'0' * 64}"
    assert "store" not in {mount["name"] for mount in container["volumeMounts"]}
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"


def test_the_schema_takes_the_values_and_refuses_others():
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, schema)
    for name, wrong in (
        ("imgae", {}),
        ("manifests", {"Bad Name.yaml": {"mirror": "m", "source": {}}}),
        ("manifests", {"m.yaml": {"mirror": "m"}}),
        ("volumes", {"state": {"size": "5 GB"}, "store": {"size": "1Ti"}}),
        ("image", {"repository": "r", "digest": "sha256:short"}),
        ("configuration", {**values["configuration"], "listen": "0.0.0.0:80"}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**values, name: wrong}, schema)


def test_the_notes_can_be_read():
    assert "No mirror is declared yet" in chart().render((CHART / "templates" / "NOTES.txt").read_text())
    notes = chart(manifests={"m.yaml": {}}).render((CHART / "templates" / "NOTES.txt").read_text())
    assert "No mirror" not in notes
    assert "port-forward service/syncd 8750" in notes
    assert "{{" not in notes


def test_what_is_written_from_something_else_is_up_to_date():
    for file, text in GENERATE.written():
        assert file.read_text("utf-8") == text, f"{file}: make docs"
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "syncd.rules.yml").read_text())
    assert named(BASE_OBJECTS)["PrometheusRule", "syncd"]["spec"] == rules
    assert named(CHART_OBJECTS)["PrometheusRule", "syncd"]["spec"] == rules


def test_kubectl_makes_of_the_overlay_what_it_says():
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed, and no package of Debian: the parts are checked above, not their sum")
    done = subprocess.run([kubectl, "kustomize", EXAMPLE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = named(yaml.safe_load_all(done.stdout))
    assert {one["metadata"].get("namespace", "mirrors") for one in objects.values()} == {"mirrors"}
    stateful = objects["StatefulSet", "syncd"]
    kubernetes_validate.validate(stateful, VERSIONS[-1], strict=True)
    assert stateful["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.org/mirrors/syncd:0.2.0"
    assert [c["spec"]["storageClassName"] for c in stateful["spec"]["volumeClaimTemplates"]] == ["local-ssd", "bulk"]
    assert "physionet-mitdb.yaml" in objects["ConfigMap", "syncd-manifests"]["data"]
