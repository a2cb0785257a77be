"""Dashboards, alert rules and runbooks hold together: built by code, parseable, of known metrics, each with its section."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from syncd.metrics import families as f

ROOT = Path(__file__).parents[2]
loaded = YAML(typ="safe", pure=True).load
GRAFANA = ROOT / "deploy/grafana"
PROMETHEUS = ROOT / "deploy/prometheus"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
RULES = loaded((PROMETHEUS / "syncd.rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
NAMED = re.compile(r"\b(?:syncd_[a-z_]+|syncd:[a-z_:]+)")
SUFFIX = re.compile(r"_(bucket|sum|count)$")
CLIENTS = {"process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
CLIENTS |= {"process_open_fds", "process_max_fds"}
UNITS = {"none", "short", "s", "bytes", "Bps", "percentunit", "ops", "reqps"}
"""Those of Grafana's that we use."""


def promtool(*words, **more):
    program = shutil.which("promtool")
    assert program is not None, "promtool is not installed (Debian: prometheus)"
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False, **more)
    return done.returncode, done.stdout + done.stderr


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board):
    return [target["expr"] for panel in panels(board) for target in panel["targets"]]


def every_panel():
    return [pytest.param(uid, panel, id=f"{uid}: {panel['title']}") for uid in BOARDS for panel in panels(BOARDS[uid])]


def metrics_of(expr):
    found = set()
    for name in NAMED.findall(re.sub(r'"[^"]*"', "", expr)):
        declared = {family.name for family in f.ALL}
        found.add(name if name in declared or name in RECORDED else SUFFIX.sub("", name))
    return found


# -- dashboards -------------------------------------------------------------------------------------------------------


def test_the_dashboards_are_what_the_code_builds(tmp_path):
    subprocess.run([sys.executable, GRAFANA / "build", tmp_path], check=True, timeout=240)
    built = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in (GRAFANA / "dashboards").iterdir()}
    assert built == kept, "run: make docs"


def test_there_are_five_and_they_lead_to_one_another():
    assert set(BOARDS) == {"syncd-fleet", "syncd-mirror", "syncd-origins", "syncd-integrity", "syncd-sharing"}
    for uid, board in BOARDS.items():
        assert (board["uid"], board["schemaVersion"], board["editable"]) == (uid, 41, False)
        assert board["title"].startswith("syncd / ")
        assert board["description"]
        (link,) = board["links"]
        assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
            "dashboards",
            ["syncd"],
            True,
            True,
        )
        assert board["tags"] == ["syncd"]
        assert "id" not in board, "two Grafanas would disagree about it"


def test_variables_are_defined_and_every_one_that_is_used_is():
    builtin = {"__rate_interval", "__range", "__value", "__url_time_range"}
    for uid, board in BOARDS.items():
        names = [variable["name"] for variable in board["templating"]["list"]]
        assert names[:2] == ["datasource", "instance"]
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
        assert used <= {*names, *builtin}, uid
        assert set(names) <= used, f"{uid}: a variable that nothing uses"
        for variable in board["templating"]["list"][1:]:
            assert variable["datasource"]["uid"] == "${datasource}"
            name = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", variable["query"]["query"])
            assert name is not None
            family = next(family for family in f.ALL if family.name == name[1])
            assert name[3] == "instance" or name[3] in family.labels


def test_links_of_tables_lead_to_a_dashboard_and_set_variables_that_it_has():
    found = [
        link
        for board in BOARDS.values()
        for panel in panels(board)
        for override in panel.get("fieldConfig", {}).get("overrides", ())
        for one in override["properties"]
        if one["id"] == "links"
        for link in one["value"]
    ]
    assert len(found) == 2
    for link in found:
        uid, _, given = link["url"].removeprefix("/d/").partition("?")
        names = {variable["name"] for variable in BOARDS[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=|\$\{(\w+):queryparam\}", given)) == {
            ("mirror", ""), ("", "datasource"), ("", "instance"),
        }  # fmt: skip
        assert {"mirror", "datasource", "instance"} <= names


@pytest.mark.parametrize(("uid", "panel"), every_panel())
def test_a_panel_says_what_it_shows_in_a_unit_that_grafana_knows(uid, panel):
    assert panel["description"].endswith("."), panel["description"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    field = panel["fieldConfig"]
    units = {field["defaults"].get("unit")} if panel["type"] != "table" else set()
    units |= {p["value"] for o in field["overrides"] for p in o["properties"] if p["id"] == "unit"}
    assert units
    assert units <= UNITS
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        assert 'instance=~"$instance"' in target["expr"]
        assert metrics_of(target["expr"]) <= {family.name for family in f.ALL}
        if "rate(" in target["expr"] and "syncd_" in target["expr"]:
            assert re.search(r"\[(\$__rate_interval|\$__range|5m|1h)\]", target["expr"])
    refs = [target["refId"] for target in panel["targets"]]
    assert len(refs) == len(set(refs))


def test_a_word_is_what_is_true_now_and_not_all_that_was_true_in_the_range():
    words = [
        panel
        for board in BOARDS.values()
        for panel in panels(board)
        if panel["type"] == "stat" and panel["options"]["textMode"] == "name"
    ]
    assert {panel["title"] for panel in words} == {"State", "Version"}
    assert all(target["instant"] and not target["range"] for panel in words for target in panel["targets"])


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_fill_a_grid_of_24_without_overlaps(uid):
    taken = {}
    ids = [panel["id"] for panel in BOARDS[uid]["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in BOARDS[uid]["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies over {taken[x, y]}"
                taken[x, y] = panel["title"]
    widths = [sum((x, y) in taken for x in range(24)) for y in range(max(y for _, y in taken) + 1)]
    assert set(widths) == {24}, "a hole"


def test_every_query_of_every_panel_parses(tmp_path):
    rules = [
        {"record": f"check:query{number}", "expr": plain(expr)}
        for number, expr in enumerate(expr for board in BOARDS.values() for expr in queries(board))
    ]
    assert len(rules) > 100
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))  # JSON is YAML
    code, said = promtool("check", "rules", file)
    assert (code, f"{len(rules)} rules found" in said) == (0, True), said


def plain(expr):
    """A query as Grafana would send it."""
    expr = expr.replace("$__rate_interval", "1m").replace("$__range", "1h")
    return re.sub(r"\$(instance|mirror|origin)\b", ".*", expr)


def test_what_an_operator_wants_at_night_is_there():
    shown = {name for board in BOARDS.values() for expr in queries(board) for name in metrics_of(expr)}
    unused = {family.name for family in f.ALL} - shown
    assert unused <= {
        # told by an alert, or by another family
        "syncd_clock_steps_total", "syncd_catalogue_backup_failures_total", "syncd_manifest_rejected_total",
        "syncd_config_last_reload_success_timestamp_seconds", "syncd_mirror_last_attempt_timestamp_seconds",
        "syncd_parked_bytes", "syncd_scrub_files_total", "syncd_store_full",
    }, unused  # fmt: skip


def test_grafana_is_provisioned_with_what_lies_here():
    (source,) = loaded((GRAFANA / "provisioning/datasources/syncd.yaml").read_text())["datasources"]
    assert (source["type"], source["uid"]) == ("prometheus", "prometheus")
    scrape = loaded((PROMETHEUS / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape
    (provider,) = loaded((GRAFANA / "provisioning/dashboards/syncd.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_promtool_takes_the_rules_and_the_example_configuration():
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", PROMETHEUS / "syncd.rules.yml")
    assert code == 0, said
    code, said = promtool("check", "config", "--lint=all", PROMETHEUS / "prometheus.yml")
    assert code == 0, said


def test_every_alert_fires_when_it_should_and_not_when_it_should_not():
    files = sorted(PROMETHEUS.glob("*.test.yml"))
    code, said = promtool("test", "rules", *files)
    assert (code, said.count("SUCCESS")) == (0, len(files)), said
    fires, quiet = set(), set()
    for file in files:
        for test in loaded(file.read_text())["tests"]:
            for one in test["promql_expr_test"]:
                (name,) = re.findall(r'alertname="(\w+)"', one["expr"])
                (fires if one["exp_samples"] else quiet).add(name)
    assert fires == quiet == {alert["alert"] for alert in ALERTS}


def test_every_alert_is_of_known_metrics_and_has_a_severity_and_a_runbook():
    known = {family.name for family in f.ALL} | RECORDED
    sections = dict(
        re.findall(
            r"^### (Syncd\w+)\n\n(.*?)(?=^##|\Z)", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE | re.DOTALL
        )
    )
    assert set(sections) == {alert["alert"] for alert in ALERTS}, "a section too many, or too few"
    for alert in ALERTS:
        name = alert["alert"]
        assert metrics_of(alert["expr"]) <= known, name
        assert alert["labels"]["severity"] in {"critical", "warning"}
        where = '{{ or $externalLabels.syncd_docs "https://syncd.example/docs" }}'
        assert alert["annotations"]["runbook_url"] == f"{where}/runbooks.html#{name.lower()}"
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        for part in ("* **Symptom.**", "* **What it means.**", "* **What to do.**"):
            assert sections[name].count(part) == 1, f"{name}: {part}"
        assert re.search(r"^```sh\n\S", sections[name], re.MULTILINE), f"{name}: no command"
    for rule in (rule for group in RULES["groups"] for rule in group["rules"] if "record" in rule):
        assert metrics_of(rule["expr"]) <= known


def test_the_page_of_metrics_names_every_metric_of_alerts_and_panels():
    page = (ROOT / "docs/metrics.md").read_text()
    named = {name for board in BOARDS.values() for expr in queries(board) for name in metrics_of(expr)}
    named |= {name for alert in ALERTS for name in metrics_of(alert["expr"])} - RECORDED
    assert len(named) > 40
    assert {name for name in named if f"| `{name}` |" not in page} == set()
    strange = {
        name
        for expr in (*(alert["expr"] for alert in ALERTS), *(q for board in BOARDS.values() for q in queries(board)))
        for name in re.findall(r"\b(?:process|python)_[a-z_]+", expr)
    }
    assert strange <= CLIENTS


def test_the_runbooks_lead_somewhere():
    text = (ROOT / "docs/runbooks.md").read_text()
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        assert not file or (ROOT / "docs" / file).resolve().exists(), target
        assert not anchor or anchor in headings, target
