"""docs/alerts.yml and what docs/observability.md has Prometheus scrape, by Prometheus's own tool."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are one more package

from tests.tools import program
from tests.unit.deployed import ROOT, manifests

ALERTS = ROOT / "docs" / "alerts.yml"
OF = '{instance="doorman:9464", job="doorman"}'
CRASHES = 'doorman_refusals_total{instance="doorman:9464", job="doorman", reason="crash"}'
HOUR = 60


def firing(tmp_path: Path, alert: str, values: Mapping[str, str], minutes: Mapping[int, bool]) -> str:
    """Return what is wrong, or nothing: at these minutes the alert fires, or does not, of series by the minute."""
    query = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    asked = [
        {"expr": query, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}
        for minute, fires in minutes.items()
    ]
    series = [{"series": name, "values": numbers} for name, numbers in values.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": asked}
    path = tmp_path / "alerts_test.yml"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([program("promtool"), "test", "rules", path], check=False, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_first_crash_is_told(tmp_path: Path) -> None:
    """One is enough, since the series is there at 0 before; a quarter of an hour later it is over."""
    minutes = {29: False, 31: True, 40: True, 50: False}
    assert firing(tmp_path, "DoormanCrashes", {CRASHES: "0x30 1x60"}, minutes) == ""


def of_workers(workers: int, starts: str, began: str = "0x300") -> dict[str, str]:
    return {
        f"doorman_worker_starts_total{OF}": starts,
        f"doorman_workers{OF}": f"{workers}x300",
        f"doorman_start_time_seconds{OF}": began,
    }


@pytest.mark.parametrize("workers", [1, 2, 4, 16, 64])
def test_new_certificates_wake_nobody(tmp_path: Path, workers: int) -> None:
    """A reload starts each worker once more, and is no death, however many there are."""
    reloaded = of_workers(workers, f"{workers}x120 {2 * workers}x120")
    never = dict.fromkeys(range(1, 4 * HOUR, 7), False)
    assert firing(tmp_path, "DoormanWorkersDie", reloaded, never) == ""


def test_a_restart_wakes_nobody(tmp_path: Path) -> None:
    """Neither do several within an hour, each of which starts all workers."""
    restarted = of_workers(8, "8x120 16x9 8x9 16x9 8x90", "0x120 7200x9 7800x9 8400x9 9000x90")
    assert firing(tmp_path, "DoormanWorkersDie", restarted, dict.fromkeys(range(121, 4 * HOUR - 30, 5), False)) == ""


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_workers_that_die_are_told(tmp_path: Path, workers: int) -> None:
    """One every four minutes is too many within the hour; it is over an hour after the last one."""
    steps = " ".join(f"{workers + death}x3" for death in range(1, 20))
    dying = of_workers(workers, f"{workers}x120 {steps} {workers + 20}x120")
    minutes = {119: False, 125: False, 181: True, 195: True, 270: False}
    assert firing(tmp_path, "DoormanWorkersDie", dying, minutes) == ""


def test_prometheus_takes_the_configurations_of_the_page(tmp_path: Path) -> None:
    """Each is one that Prometheus would start with, beside the alerts; the job has the name that they ask for.

    How pods are found is looked at here, since Debian's Prometheus is built without it.
    """
    (tmp_path / "alerts.yml").write_bytes(ALERTS.read_bytes())
    written = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/observability.md").read_text(), re.DOTALL)
    assert len(written) == 2
    for text in written:
        configuration = yaml.safe_load(text)
        (job,) = configuration["scrape_configs"]
        if discovery := job.pop("kubernetes_sd_configs", None):
            assert discovery == [
                {"role": "pod", "namespaces": {"names": [manifests("base")["Namespace"]["metadata"]["name"]]}}
            ]
            (rule,) = manifests("metrics")["NetworkPolicy"]["spec"]["ingress"]
            (kept,) = (each for each in job["relabel_configs"] if each.get("action") == "keep")
            assert [{"port": kept["regex"]}] == rule["ports"]
        path = tmp_path / "prometheus.yml"
        path.write_text(json.dumps(configuration))
        done = subprocess.run([program("promtool"), "check", "config", path], check=False, capture_output=True)
        assert done.returncode == 0, done.stdout
        assert [job["job_name"]] == re.findall(r'up\{job="(\w+)"', ALERTS.read_text())
