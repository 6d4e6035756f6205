import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PYTHON_VERSIONS = ("3.11", "3.12", "3.13")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


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

    @pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
    def test_documented_commands_exist(self, page: str) -> None:
        """Each make command that a page names is one."""
        makefile = (ROOT / "Makefile").read_text()
        commands = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
        assert set(re.findall(r"(?:^ +|`)make ([a-z]+)", (ROOT / page).read_text(), re.MULTILINE)) <= commands
