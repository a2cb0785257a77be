"""Addresses that stand in what is published: one base for all, and another where a site says so."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.deploy.test_kubernetes import VALUES, chart

ROOT = Path(__file__).parents[2]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
DOCS = URLS["Documentation"]
RULES = ROOT / "deploy" / "prometheus" / "syncd.rules.yml"
SCHEMAS = ("manifests/mirror.schema.json", "syncd/config/syncd.schema.json")


def schema(name):
    return json.loads((ROOT / name).read_text("utf-8"))


def runbooks(groups):
    return {rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_every_address_of_the_project_is_below_its_homepage():
    assert all(url.startswith(URLS["Homepage"]) for url in URLS.values())
    assert all(url.startswith("https://") for url in URLS.values())


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_named_by_the_address_at_which_the_site_has_it(name):
    assert schema(name)["$id"] == f"{DOCS}reference/{Path(name).name}"
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert f'"{name}"' in (ROOT / "deploy/site/hooks.py").read_text("utf-8")


EXAMPLES = ("deploy/syncd.yaml", "deploy/compose/syncd.yaml", "deploy/kubernetes/overlays/example/syncd.yaml")


@pytest.mark.parametrize("file", EXAMPLES)
def test_the_schema_of_syncd_yaml_takes_every_example(file):
    jsonschema.Draft202012Validator(schema(SCHEMAS[1])).validate(yaml.safe_load((ROOT / file).read_text("utf-8")))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("stores: {}", "$"),
        ("budget: {memory: 512}", "$.budget.memory"),
        ("budget: {passes: 0}", "$.budget.passes"),
        ("store: null", "$.store"),
        ("credentials: {c: {origin: 'https://h', bearer: SWORDFISH}}", "$.credentials.c.bearer"),
        ("log: {level: loud}", "$.log.level"),
    ],
)
def test_the_schema_of_syncd_yaml_refuses_what_syncd_refuses(text, where):
    found = jsonschema.Draft202012Validator(schema(SCHEMAS[1])).iter_errors(yaml.safe_load(text))
    assert [error.json_path for error in found] == [where]


def test_the_rules_lead_to_the_documentation_unless_prometheus_says_where_it_is(tmp_path):
    assert shutil.which("promtool"), "install prometheus"
    alert = "tests: [{interval: 1m, LABELS input_series: [{series: 'up{job=\"syncd\"}', values: '0x20'}], alert_rule_test: ["
    alert += "{alertname: SyncdDown, eval_time: 10m, exp_alerts: [{exp_labels: {severity: critical, job: syncd},"
    alert += (
        " exp_annotations: {runbook_url: 'URL', summary: 'syncd on  does not answer', description: 'Prometheus could"
    )
    alert += " not scrape it for five minutes. No mirror is kept current.'}}]}]}]\n"
    for labels, base in (
        ("", DOCS),
        ("external_labels: {syncd_docs: 'https://wiki.example.org/x'},", "https://wiki.example.org/x/"),
    ):
        test = tmp_path / "one.test.yml"
        url = f"{base}runbooks.html#syncddown"
        test.write_text(f"rule_files: [{RULES}]\n" + alert.replace("LABELS", labels).replace("URL", url))
        done = subprocess.run(["promtool", "test", "rules", test], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_chart_says_where_the_documentation_is():
    assert f"{VALUES['monitoring']['docs']}/" == DOCS
    told = {"serviceMonitor": False, "prometheusRule": True, "docs": "https://wiki.example.org/x"}
    (rule,) = [one for one in chart(monitoring=told).objects() if one["kind"] == "PrometheusRule"]
    found = runbooks(rule["spec"]["groups"])
    assert len(found) > 20
    assert all('"https://wiki.example.org/x" }}/runbooks.html#' in url for url in found)
    assert all(f'"{DOCS[:-1]}" }}}}' in url for url in runbooks(yaml.safe_load(RULES.read_text("utf-8"))["groups"]))
