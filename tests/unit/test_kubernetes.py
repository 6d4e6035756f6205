"""The manifests in deploy/kubernetes, against the schemas of Kubernetes, each other and the code."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest

from api.serving import STOP_SECONDS
from api.setting_values import SURFACES
from tests.unit.deployed import (
    KUBERNETES,
    ROOT,
    Object,
    containers,
    image_port,
    image_user,
    kustomization,
    kustomized,
    manifests,
    only,
    settings_of,
)

FOLDERS = ("base", "issuer", "metrics")
OLDEST = "1.29"  # as base/kustomization.yaml says
MOUNTED = "/run/secrets/doorman"


def every_object() -> Iterator[Object]:
    for folder in FOLDERS:
        yield from manifests(folder).values()


def pod() -> Object:
    template: Object = manifests("base")["Deployment"]["spec"]["template"]
    return template


def container() -> Object:
    (only,) = pod()["spec"]["containers"]
    found: Object = only
    return found


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_each_object_meets_its_schema(version: str) -> None:
    """Each object is what its kind allows in the oldest and the newest version known here, and has no other field."""
    assert OLDEST in (KUBERNETES / "base/kustomization.yaml").read_text()
    for found in every_object():
        kubernetes_validate.validate(found, version, strict=True)
        wrong = copy.deepcopy(found)
        wrong["metadata"]["namesapce"] = "doorman"
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, version, strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_file_is_applied(folder: str) -> None:
    """`kubectl apply -k` takes every file of the folder; none holds a Secret, or it would replace the real one."""
    files = {path.name for path in (KUBERNETES / folder).iterdir()} - {"kustomization.yaml"}
    assert set(kustomization(folder)["resources"]) == files
    assert "Secret" not in manifests(folder)


def test_everything_is_in_one_namespace_that_takes_no_root() -> None:
    """All is in the namespace that the base makes, where Pod Security Standards refuse what is not "restricted"."""
    namespace = manifests("base")["Namespace"]["metadata"]
    assert {found["metadata"].get("namespace", namespace["name"]) for found in every_object()} == {namespace["name"]}
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_names_lead_to_what_is_there() -> None:
    """Each selector finds the pods, and each name of an account, a map, a service or a port is one."""
    base = manifests("base")
    labels = pod()["metadata"]["labels"]
    assert base["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert base["Service"]["spec"]["selector"] == labels
    assert base["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    for policy in (manifests(folder)["NetworkPolicy"] for folder in FOLDERS):
        assert policy["spec"]["podSelector"]["matchLabels"] == labels
    for constraint in pod()["spec"]["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == labels
    assert pod()["spec"]["serviceAccountName"] == base["ServiceAccount"]["metadata"]["name"]
    assert container()["envFrom"] == [{"configMapRef": {"name": base["ConfigMap"]["metadata"]["name"]}}]
    (port,) = container()["ports"]
    assert port["containerPort"] == image_port()
    (served,) = base["Service"]["spec"]["ports"]
    assert served["targetPort"] == port["name"]
    (rule,) = base["Ingress"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = {"name": base["Service"]["metadata"]["name"], "port": {"name": served["name"]}}
    assert path["backend"] == {"service": backend}
    assert base["Ingress"]["spec"]["tls"][0]["hosts"] == [rule["host"]]
    assert base["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"port": port["name"]}]


def test_every_container_is_confined() -> None:
    """No container runs as root or may become it, writes to its image, has a capability, or an account's token."""
    spec = pod()["spec"]
    user, group = image_user()
    assert user > 0
    security = spec["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (True, user, group)
    assert security["fsGroup"] == group  # or it could not read its secrets
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert manifests("base")["ServiceAccount"]["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(spec)
    for found in containers(spec):
        assert found["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert found["resources"]["limits"].keys() >= {"cpu", "memory"}
        assert found["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert not re.search(r":latest$|^[^:]+$", found["image"])


def test_secrets_are_files_that_the_operator_makes(tmp_path: Path) -> None:
    """Doorman would start with what it is given; no secret stands in an object, and the page says how to make each."""
    assert "env" not in container()
    settings = settings_of(manifests("base")["ConfigMap"]["data"], MOUNTED, tmp_path / "secrets")
    assert settings.sqlite_path is None
    assert settings.registration == "closed"
    assert settings.trusted_proxies
    assert str(settings.workers) == container()["resources"]["limits"]["cpu"]
    (mount,) = (mount for mount in container()["volumeMounts"] if mount["mountPath"] == MOUNTED)
    assert mount["readOnly"] is True
    (volume,) = (volume["secret"] for volume in pod()["spec"]["volumes"] if volume["name"] == mount["name"])
    assert volume["defaultMode"] & 0o007 == 0
    page = (ROOT / "docs/operations.md").read_text()
    (command,) = re.findall(rf"create secret generic {volume['secretName']} (.*?)\n\n", page, re.DOTALL)
    files = {path.name for path in (tmp_path / "secrets").iterdir()}
    assert set(re.findall(r"--from-file=(\w+)=", command)) == files


def test_probes_ask_what_they_are_for() -> None:
    """A database that is away takes the pod out of service and kills nobody; a stuck process is started anew."""
    paths = {kind: container()[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/healthz/ready", "readiness": "/healthz/ready", "liveness": "/healthz/live"}
    (port,) = container()["ports"]
    assert {container()[f"{kind}Probe"]["httpGet"]["port"] for kind in paths} == {port["name"]}


def test_a_pod_has_the_time_to_stop() -> None:
    """The pod is killed only after the time in which requests stop coming and the time in which they end."""
    command, waits = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod()["spec"]["terminationGracePeriodSeconds"] > int(waits) + STOP_SECONDS


def test_one_replica_goes_at_a_time() -> None:
    """There are two at least, and neither a rollout nor the emptying of a machine leaves fewer than one."""
    spec = manifests("base")["Deployment"]["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert manifests("base")["PodDisruptionBudget"]["spec"]["maxUnavailable"] < spec["replicas"]


def test_network_policies_name_who_is_meant() -> None:
    """Nothing comes in but from one namespace, and nothing goes out but to a named peer and port."""
    policy = manifests("base")["NetworkPolicy"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    for rule in [*policy["ingress"], *policy["egress"], *manifests("issuer")["NetworkPolicy"]["spec"]["egress"]]:
        assert rule["ports"]
        (peer,) = rule.get("from") or rule["to"]
        assert peer.get("namespaceSelector", {}).get("matchLabels") or peer["ipBlock"]["except"]


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_the_example_is_whole(version: str) -> None:
    """Each patch finds what it is for, and what it makes meets the schemas: one host, and an image of the cluster's."""
    example = kustomized("example")
    for found in example:
        kubernetes_validate.validate(found, version, strict=True)
    ingress = only(example, "Ingress", "doorman")["spec"]
    assert ingress["tls"][0]["hosts"] == [ingress["rules"][0]["host"]]
    assert ingress != manifests("base")["Ingress"]["spec"]
    changed = only(example, "Deployment", "doorman")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert changed != container()["image"]
    assert len(example) == len(list(every_object()))


def test_the_example_starts(tmp_path: Path) -> None:
    """Doorman takes the settings, and the issuer leads browsers back to the Ingress's host."""
    example = kustomized("example")
    settings = settings_of(only(example, "ConfigMap", "doorman-settings")["data"], MOUNTED, tmp_path / "secrets")
    host = only(example, "Ingress", "doorman")["spec"]["rules"][0]["host"]
    assert settings.oidc_issuer
    assert settings.oidc_redirect_url == f"https://{host}/users/login/oauth/callback"


def test_metrics_can_be_scraped(tmp_path: Path) -> None:
    """Their port is open on all addresses of the pod; one namespace alone gets there, and nothing else leads there."""
    example = kustomized("example")
    settings = settings_of(only(example, "ConfigMap", "doorman-settings")["data"], MOUNTED, tmp_path / "secrets")
    spec = only(example, "Deployment", "doorman")["spec"]["template"]["spec"]
    ports = {port["name"]: port["containerPort"] for port in spec["containers"][0]["ports"]}
    assert ports == {"http": image_port(), "metrics": settings.metrics_port}
    assert settings.metrics_host == "0.0.0.0"
    policy = only(example, "NetworkPolicy", "doorman-metrics")["spec"]
    assert policy["podSelector"]["matchLabels"] == pod()["metadata"]["labels"]
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    assert rule["ports"] == [{"port": "metrics"}]
    assert peer["namespaceSelector"]["matchLabels"]
    (others,) = only(example, "NetworkPolicy", "doorman")["spec"]["ingress"]
    assert others["ports"] == [{"port": "http"}]
    (served,) = only(example, "Service", "doorman")["spec"]["ports"]
    assert served["targetPort"] == "http"


def test_the_page_leads_to_a_running_cluster() -> None:
    """The copy of the example is where its paths lead to the others, and each Secret that is mounted is made."""
    page = (ROOT / "docs/operations.md").read_text()
    ((copied, copy_of_it),) = re.findall(r"^ +cp -R (\S+) (\S+)$", page, re.MULTILINE)
    applied = re.findall(r"^ +kubectl apply -k (\S+)$", page, re.MULTILINE)
    assert applied == [copy_of_it]
    assert (ROOT / copied).samefile(KUBERNETES / "example")
    for folder in kustomization("example")["resources"] + kustomization("example")["components"]:
        assert (ROOT / copy_of_it / ".." / folder.removeprefix("../") / "kustomization.yaml").resolve().exists()
    (tls,) = manifests("base")["Ingress"]["spec"]["tls"]
    assert f"create secret tls {tls['secretName']} --cert=" in page
    surfaces = set(manifests("base")["ConfigMap"]["data"]["SURFACES"].split(","))
    assert set(SURFACES) - surfaces == set(re.findall(r"by a list that has `(\w+)` and `(\w+)`", page)[0])
