"""What the files under deploy/ and docker-compose.yml say, read as those who run them would."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are one more package

from api.options import OPTIONS
from api.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
UNIT_SECONDS = {"s": 1, "m": 60}

Object = dict[str, Any]
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?\}")


def compose(**variables: str) -> Object:
    """Read docker-compose.yml with these variables, and each other one's default: one without any is an error."""

    def value(found: re.Match[str]) -> str:
        default: str | None = found[2]
        assert default is not None, f"{found[0]} has no default"
        return variables.get(found[1]) or default

    text = (ROOT / "docker-compose.yml").read_text()
    loaded: Object = yaml.safe_load(_VARIABLE.sub(value, text))
    return loaded


@cache
def manifests(folder: str) -> Mapping[str, Object]:
    """Return each object in a folder of manifests but its kustomization, by kind."""
    found = [
        document
        for path in sorted((KUBERNETES / folder).glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]
    by_kind = {document["kind"]: document for document in found}
    assert len(by_kind) == len(found)
    return by_kind


def kustomization(folder: str) -> Object:
    loaded: Object = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())
    return loaded


def kustomized(folder: str) -> list[Object]:
    """Return the objects that `kubectl apply -k` would make of a folder, as far as Kustomize is used here."""
    objects: list[Object] = []
    _add(KUBERNETES / folder, objects)
    return objects


def only(objects: Iterable[Object], kind: str, name: str) -> Object:
    """Return the one object of that kind and name."""
    (found,) = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def _add(folder: Path, objects: list[Object]) -> None:
    kustomize = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomize.keys() <= {"apiVersion", "kind", "resources", "components", "images", "patches"}
    for resource in kustomize["resources"] + kustomize.get("components", []):
        if (folder / resource).is_dir():
            _add(folder / resource, objects)
        else:
            objects += yaml.safe_load_all((folder / resource).read_text())
    for image in kustomize.get("images", []):
        (deployment,) = (each for each in objects if each["kind"] == "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"].partition(":")[0] == image["name"]
        container["image"] = f"{image['newName']}:{image['newTag']}"
    for patch in kustomize.get("patches", []):
        target = only(objects, patch["target"]["kind"], patch["target"]["name"])
        for change in yaml.safe_load(patch["patch"]):
            _change(target, change)


def _change(target: Object, change: Object) -> None:
    """Make one change of a JSON Patch (RFC 6902), which has to replace what is there, and to add what is not."""
    *path, last = (step.replace("~1", "/") for step in change["path"].split("/")[1:])
    place: Any = target
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if isinstance(place, list) and last == "-":
        assert change["op"] == "add"
        place.append(change["value"])
        return
    assert (last in place if isinstance(place, dict) else int(last) < len(place)) is (change["op"] == "replace"), change
    place[last if isinstance(place, dict) else int(last)] = change["value"]


def image_user() -> tuple[int, int]:
    """Return the user and the group that the image runs as."""
    user, group = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
    return int(user), int(group)


def image_port() -> int:
    return int(re.findall(r"^EXPOSE (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1])


def seconds(text: str) -> int:
    return int(text[:-1]) * UNIT_SECONDS[text[-1]]


def settings_of(environment: Mapping[str, Any], mounted: str, secrets: Path) -> Settings:
    """Read the settings that a container is given, with secrets of this test's where its files are ``mounted``.

    Each variable has to be a setting, and none that is a secret may stand in the environment.
    """
    secrets.mkdir()
    given = {}
    for name, text in environment.items():
        assert isinstance(text, str), f"{name} would reach the container as another text than it reads here"
        assert name in OPTIONS or OPTIONS[name.removesuffix("_FILE")].in_file, name
        if re.search(r"PASSWORD|SECRET|TOKEN|DATABASE_URL", name):
            assert name.endswith("_FILE") or not text, name
        given[name] = text
        if name.endswith("_FILE"):
            assert text.startswith(f"{mounted}/")
            path = secrets / text.removeprefix(f"{mounted}/")
            path.write_text("mongodb://u:p@mongodb/" if name == "DATABASE_URL_FILE" else "0123456789abcdef" * 4)
            given[name] = str(path)
    return Settings.from_env(given)


def containers(pod: Object) -> Iterator[Object]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(kind, [])
