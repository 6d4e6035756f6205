import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are one more package
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PYTHON_VERSIONS = ("3.11", "3.12", "3.13")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def pins(lock: str) -> dict[str, Requirement]:
    requirements = map(Requirement, re.findall(r"^[^\s#].*==.*?(?= \\$)", (ROOT / lock).read_text(), re.MULTILINE))
    return {normalised(requirement.name): requirement for requirement in requirements}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def only_version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return specifier.version


def platforms() -> Iterator[Mapping[str, str]]:
    for python in PYTHON_VERSIONS:
        for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")):
            yield {
                **{name: str(value) for name, value in default_environment().items()},
                "python_version": python,
                "python_full_version": f"{python}.0",
                "sys_platform": system,
                "platform_machine": machine,
                "extra": "",
            }


def dockerfile_stages() -> list[list[str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    instructions = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    starts = [index for index, line in enumerate(instructions) if line.startswith("FROM ")]
    return [instructions[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


class TestLocks:
    @pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
    def test_satisfy_the_project(self, lock: str) -> None:
        """Each requirement of pyproject.toml has, wherever it applies, a pin that it allows."""
        wanted = list(project()["project"]["dependencies"])
        if lock == "requirements-dev.lock":
            wanted += project()["project"]["optional-dependencies"]["dev"]
        pinned = pins(lock)
        for requirement in map(Requirement, wanted):
            pin = pinned[normalised(requirement.name)]
            assert requirement.specifier.contains(only_version(pin)), f"{lock} pins {pin}: {requirement} is required"
            for platform in platforms():
                if requirement.marker is None or requirement.marker.evaluate(platform):
                    assert pin.marker is None or pin.marker.evaluate(platform), f"{pin} is left out on {platform}"

    def test_agree(self) -> None:
        """What runs in service is what was tested: the development lock holds every pin of the runtime lock."""
        tested = pins("requirements-dev.lock")
        for name, pin in pins("requirements.lock").items():
            assert only_version(tested[name]) == only_version(pin)


class TestDistribution:
    def test_names_every_package(self) -> None:
        """Each package of the source tree is one that pyproject.toml has installed."""
        packages = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for top in ("api", "models")
            for path in (ROOT / top).rglob("__init__.py")
        }
        assert packages == set(project()["tool"]["setuptools"]["packages"])
        assert project()["tool"]["setuptools"]["py-modules"] == ["app"]

    def test_names_every_data_file(self) -> None:
        """Each file in a package that is not Python is installed with it."""
        data = project()["tool"]["setuptools"]["package-data"]
        for top in ("api", "models"):
            files = (path for path in (ROOT / top).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            for path in files:
                name = path.relative_to(ROOT / top).as_posix()
                assert path.suffix == ".py" or any(fnmatch(name, pattern) for pattern in data[top]), path


class TestCompose:
    def test_publishes_to_loopback_only(self) -> None:
        """No port takes connections from another machine, and mongod's takes none from the host either."""
        for service in compose()["services"].values():
            for port in service.get("ports", []):
                assert port.startswith("127.0.0.1:")
        assert "ports" not in compose()["services"]["mongodb"]
        assert "network_mode" not in compose()["services"]["mongodb"]

    def test_declares_every_secret(self) -> None:
        """A secret that a service reads is given to it, and declared; none is declared for nobody."""
        used = set()
        for name, service in compose()["services"].items():
            read = set(re.findall(r"/run/secrets/(\w+)", str(service)))
            assert read <= set(service["secrets"]), name
            used |= set(service["secrets"])
        assert used == set(compose()["secrets"])

    def test_keeps_secrets_out_of_the_environment(self) -> None:
        """A password, a key or a URL that holds one is given as a file; Doorman is not given the root account."""
        for service in compose()["services"].values():
            for name, value in service["environment"].items():
                if re.search(r"PASSWORD|SECRET|TOKEN|URL", name):
                    assert name.endswith("_FILE") or not value, name
        assert not [secret for secret in compose()["services"]["doorman"]["secrets"] if "root" in secret]

    def test_secrets_are_what_make_secrets_writes(self, tmp_path: Path) -> None:
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

    def test_waits_for_the_database(self) -> None:
        """The API starts when mongod is the primary of its replica set, not when its process is there."""
        services = compose()["services"]
        assert services["doorman"]["depends_on"]["mongodb"]["condition"] == "service_healthy"
        assert "isWritablePrimary" in services["mongodb"]["healthcheck"]["test"][-1]

    @pytest.mark.parametrize("service", ["doorman", "mongodb"])
    def test_confines_the_services(self, service: str) -> None:
        """A container that is broken into has no capabilities, no way to gain any, and no disk but its data."""
        settings = compose()["services"][service]
        assert settings["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in settings["security_opt"]
        assert settings["read_only"] is True
        assert not {"privileged", "cap_add", "pid", "ipc"} & set(settings)


class TestImage:
    def test_runs_as_an_ordinary_user(self) -> None:
        """The last stage ends as a numeric user that is not root, which is how an orchestrator can tell."""
        users = [line.split()[1] for line in dockerfile_stages()[-1] if line.startswith("USER ")]
        assert users
        assert int(users[-1].split(":")[0]) > 0

    def test_tells_its_health(self) -> None:
        """The image says when it is ready, by a command that needs no shell."""
        (check,) = [line for line in dockerfile_stages()[-1] if line.startswith("HEALTHCHECK ")]
        assert re.search(r'CMD +\["doorman", "health"\]', check)

    def test_leaves_out_what_is_not_named(self) -> None:
        """No secret, database or repository can get into the image: its context is a list of what may."""
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        assert rules[0] == "*"
        allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
        copied = {
            source
            for stage in dockerfile_stages()
            for line in stage
            if line.startswith("COPY ") and "--from" not in line
            for source in line.split()[1:-1]
        }
        assert copied == allowed


class TestMakefile:
    def test_help_lists_every_command(self) -> None:
        """`make` alone lists each command that there is, with what it does."""
        makefile = (ROOT / "Makefile").read_text()
        commands = re.findall(r"^\.PHONY: (help.*)$", makefile, re.MULTILINE)[0].split()
        shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True)
        listed = re.findall(r"^  make (\S+) +\S", shown.stdout, re.MULTILINE)
        assert sorted(listed) == sorted(commands)

    @pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
    def test_documented_commands_exist(self, page: str) -> None:
        """Each make command that a page names is one."""
        makefile = (ROOT / "Makefile").read_text()
        commands = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
        assert set(re.findall(r"(?:^ +|`)make ([a-z]+)", (ROOT / page).read_text(), re.MULTILINE)) <= commands
