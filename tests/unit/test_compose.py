"""docker-compose.yml, as far as it can be told without a Docker engine."""

import re
import subprocess
import sys
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are one more package

from api.serving import STOP_SECONDS
from tests.unit.deployed import DEPLOY, ROOT, compose, image_port, seconds, settings_of

CHECK = str(Path(sys.executable).with_name("check-jsonschema"))
SERVICES = ("caddy", "doorman", "mongodb")


def checked(path: Path) -> int:
    command = [CHECK, "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, check=False, capture_output=True).returncode


def test_meets_the_schema_of_compose_files(tmp_path: Path) -> None:
    """The file is what the Compose Specification allows, which does not allow everything."""
    assert checked(ROOT / "docker-compose.yml") == 0
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text().replace("read_only: true", "read_onyl: true", 1))
    assert checked(wrong) == 1


def test_overrides_meet_the_schema(tmp_path: Path) -> None:
    """What docs/operations.md has people put into an override is Compose's too, for services that there are."""
    overrides = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    assert len(overrides) > 1
    for number, text in enumerate(overrides):
        path = tmp_path / f"docker-compose.{number}.yml"
        path.write_text(text)
        assert checked(path) == 0, text
        assert set(yaml.safe_load(text)["services"]) <= set(SERVICES)


def test_overrides_give_doorman_settings_that_it_takes(tmp_path: Path) -> None:
    """With each of them Doorman would start, reading what they mount."""
    base = compose()["services"]["doorman"]
    overrides = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    for number, text in enumerate(overrides):
        service = yaml.safe_load(text)["services"]["doorman"]
        environment = base["environment"] | service["environment"]
        settings_of(environment, "/run/secrets", tmp_path / str(number))
        mounted = {*base["secrets"], *service.get("secrets", [])}
        assert set(re.findall(r"/run/secrets/(\w+)", str(environment))) <= mounted


def test_publishes_caddy_alone() -> None:
    """What faces a network speaks TLS: no other service's port can be reached from outside of its networks."""
    services = compose()["services"]
    assert {name: service.get("ports") for name, service in services.items()} == {
        "caddy": ["80:80", "443:443", "443:443/udp"],
        "doorman": None,
        "mongodb": None,
    }
    assert not [service for service in services.values() if "network_mode" in service]


def test_separates_the_networks() -> None:
    """Caddy does not reach the database, and neither Doorman nor the database anything outside."""
    members = {name: set(service["networks"]) for name, service in compose()["services"].items()}
    assert members == {"caddy": {"front", "back"}, "doorman": {"back", "database"}, "mongodb": {"database"}}
    internal = {name for name, network in compose()["networks"].items() if network.get("internal")}
    assert internal == {"back", "database"}
    assert set(compose()["networks"]) == {"front", "back", "database"}


@pytest.mark.parametrize("variables", [{}, {"BACK_PREFIX": "172.30.7"}])
def test_doorman_believes_caddy_alone(variables: Mapping[str, str]) -> None:
    """The one trusted proxy is Caddy's fixed address, which Docker gives to nobody else."""
    services = compose(**variables)["services"]
    caddy = ip_address(services["caddy"]["networks"]["back"]["ipv4_address"])
    assert services["doorman"]["environment"]["TRUSTED_PROXIES"] == str(caddy)
    (pool,) = compose(**variables)["networks"]["back"]["ipam"]["config"]
    subnet, dynamic = ip_network(pool["subnet"]), ip_network(pool["ip_range"])
    assert caddy in subnet
    assert caddy not in dynamic
    assert ip_address(pool["gateway"]) in set(subnet) - {caddy} - set(dynamic)
    assert set(dynamic) < set(subnet)


def test_gives_caddy_its_file() -> None:
    """Caddy reads deploy/Caddyfile, and each variable in it that has no default is given."""
    caddy = compose()["services"]["caddy"]
    assert caddy["configs"] == [{"source": "caddyfile", "target": "/etc/caddy/Caddyfile"}]
    assert (ROOT / compose()["configs"]["caddyfile"]["file"]).samefile(DEPLOY / "Caddyfile")
    variables = dict(re.findall(r"\{\$(\w+)(:?[^}]*)\}", (DEPLOY / "Caddyfile").read_text()))
    assert set(caddy["environment"]) <= set(variables)
    assert {name for name, default in variables.items() if not default} <= set(caddy["environment"])
    assert variables["DOORMAN_UPSTREAM"] == ":doorman"
    assert variables["DOORMAN_PORT"] == f":{image_port()}"


def test_gives_doorman_settings_that_it_takes(tmp_path: Path) -> None:
    """Doorman would start with what it is given; no secret stands in the environment; registration is closed."""
    settings = settings_of(compose()["services"]["doorman"]["environment"], "/run/secrets", tmp_path / "secrets")
    assert settings.sqlite_path is None
    assert settings.registration == "closed"
    assert settings.basic_auth_user


def test_declares_every_secret() -> None:
    """A secret that a service reads is given to it, and declared; none is declared for nobody."""
    used = set()
    for name, service in compose()["services"].items():
        read = set(re.findall(r"/run/secrets/(\w+)", str(service)))
        assert read <= set(service.get("secrets", [])), name
        used |= set(service.get("secrets", []))
    assert used == set(compose()["secrets"])


def test_keeps_secrets_out_of_the_environment() -> None:
    """A password, a key or a URL that holds one is given as a file; Doorman is not given the root account."""
    for service in compose()["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|SECRET|TOKEN|URL", name):
                assert name.endswith("_FILE") or not value, name
    assert not [secret for secret in compose()["services"]["doorman"]["secrets"] if "root" in secret]


def test_secrets_are_what_make_secrets_writes(tmp_path: Path) -> None:
    """`make secrets` writes each file into a folder closed to others, prints none, and keeps what is there."""
    command = ["make", "--no-print-directory", "--file", str(ROOT / "Makefile"), "secrets"]
    output = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    written = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    declared = {name: Path(secret["file"]) for name, secret in compose()["secrets"].items()}
    assert set(written) == set(declared) == {path.name for path in declared.values()}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert not [name for name, value in written.items() if len(value) > len("root") and value in output]
    assert len({value for value in written.values() if re.fullmatch("[0-9a-f]{64}", value)}) == len(written) - 2
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == written


def test_starts_and_stops_in_order() -> None:
    """The API starts when mongod is the primary, Caddy when the API serves; each has the time that it needs to stop."""
    services = compose()["services"]
    assert services["caddy"]["depends_on"]["doorman"]["condition"] == "service_healthy"
    assert services["doorman"]["depends_on"]["mongodb"]["condition"] == "service_healthy"
    assert "isWritablePrimary" in services["mongodb"]["healthcheck"]["test"][-1]
    assert seconds(services["doorman"]["stop_grace_period"]) > STOP_SECONDS
    (grace,) = re.findall(r"grace_period (\w+)", (DEPLOY / "Caddyfile").read_text())
    assert seconds(services["caddy"]["stop_grace_period"]) > seconds(grace) >= STOP_SECONDS


@pytest.mark.parametrize("service", SERVICES)
def test_confines_the_services(service: str) -> None:
    """A container that is broken into has no way to gain capabilities, no disk but its data, and a bound on memory."""
    assert set(SERVICES) == set(compose()["services"])
    settings = compose()["services"][service]
    assert settings["cap_drop"] == ["ALL"]
    # The image's program has it as a file capability, without which the kernel refuses to start it.
    assert settings.get("cap_add", []) == (["NET_BIND_SERVICE"] if service == "caddy" else [])
    assert "no-new-privileges:true" in settings["security_opt"]
    assert settings["read_only"] is True
    assert settings["mem_limit"]
    assert settings["pids_limit"]
    assert not {"privileged", "pid", "ipc", "devices"} & set(settings)


def test_pins_each_image_by_its_tag() -> None:
    """No image changes to another major version by itself."""
    images = [service["image"] for service in compose()["services"].values() if "image" in service]
    assert len(images) == len(SERVICES) - 1
    assert all(re.fullmatch(r"[a-z]+:\d+(\.\d+)*", image) for image in images), images
