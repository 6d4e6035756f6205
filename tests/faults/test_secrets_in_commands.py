"""Secrets in what commands say, and in what the core raises and is made of."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings
from app import create_core
from models.clients import client_at
from models.core import Core
from models.errors import DoormanError, SetupError
from models.secret import Secret
from models.sessions import KINDS
from tests.api.commands import Commands
from tests.databases import ADMIN, Environment
from tests.faults.canaries import Canaries
from tests.faults.test_secrets import CRASHING, TELLS_NOTHING
from tests.running import run_doorman

CLIENT = client_at("127.0.0.1")


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def wrong_files(canaries: Canaries) -> dict[str, tuple[str, list[str]]]:
    """Return by name files with secrets in which something is wrong, and the options that they need."""
    text, token = canaries.text, canaries.token
    entries: list[dict[str, Any]] = [
        {"user_name": "a", "password": text("long password") * 4},
        {"user_name": "b", "password_hash": text("no hash")},
        {"user_name": "c", "password": text("with bad token"), "token": "no token: " + token("bad token")},
        {"user_name": "d", "password": text("with odd field"), "pasword": token("odd field")},
        {"user_name": "e:", "password": [text("listed password")], "token_digests": [token("digest")]},
        {"user_name": "f", "password_hash": f"$2b$99${token('bad hash')}"},
    ]
    lines = "".join(json.dumps(entry) + "\n" for entry in entries) + '{"user_name": "g", "password": "' + token("cut")
    key = f"hash_config {{ algorithm: SCRYPT, base64_signer_key: {token('signer key')}, rounds: x }}"
    kratos = {"credentials": {"password": {"config": {"hashed_password": token("kratos")}}}}
    django = {"model": "auth.user", "fields": {"username": "l", "password": token("django")}}
    auth0 = {"username": "m", "password_hash": token("auth0")}
    firebase = {"users": [{"passwordHash": token("firebase")}]}
    return {
        "users.jsonl": (lines, []),
        "users.csv": (f"user_name,password,token\ni,{token('in csv')},{token('in csv too')},{token('too many')}\n", []),
        ".htpasswd": (f"j:{token('in clear')}\nk:$apr1${token('apr1')}\n{token('line')}\n", []),
        "django.json": (json.dumps([django]), ["--format", "django"]),
        "kratos.json": (json.dumps([{**kratos, "traits": {"username": "h"}}]), ["--format", "kratos"]),
        "auth0.json": (json.dumps([auth0]), ["--format", "auth0"]),
        "firebase.json": (json.dumps(firebase), ["--format", "firebase", "--firebase-config", key]),
    }


def test_commands_tell_no_secret(sqlite_environment: Environment, tmp_path: Path, canaries: Canaries) -> None:
    """What is refused of an import, an argument or a line of input is told without it; an export holds none."""
    commands = Commands(sqlite_environment, tmp_path)
    said = []
    for name, (content, options) in wrong_files(canaries).items():
        *others, last = options or [""]
        if "--firebase-config" in others:
            last = commands.write("parameters.txt", last)
        for form in ([], ["--json"]):
            ran = commands.run("import", commands.write(name, content), *filter(None, [*others, last]), *form)
            assert ran.status, (name, ran.out)
            said.append(ran.out + ran.err)
    password, token = canaries.text("typed password"), "no token: " + canaries.token("typed token")
    for arguments, text in (
        (["users", "create", "ann", "--password-stdin", "--token-stdin"], f"{password}\n{token}\n"),
        (["users", "create", "ann", "--password-stdin"], f"{password * 4}\n"),
        (["users", "set", "nobody", "--password-stdin"], f"{password}\n"),
        (["users", "create", "ann", canaries.token("an argument too many")], None),
        (["admin", "reset-password", "nobody", "--password-stdin"], f"{password}\n"),
    ):
        for form in ([], ["--json"]):
            ran = commands.run(*arguments, *form, text=text)
            assert ran.status, arguments
            said.append(ran.out + ran.err)
    commands.run("users", "create", "bob", "--password-stdin", text=f"{password}\n")
    commands.run("export", str(tmp_path / "out.jsonl"))
    exported = (tmp_path / "out.jsonl").read_text()
    assert "bob" in exported
    assert "$2b$" not in exported
    found = canaries.found_in("".join([*said, exported]).encode())
    assert not found, found[:5]


def test_a_crashed_command_tells_no_secret(sqlite_environment: Environment, tmp_path: Path, canaries: Canaries) -> None:
    """What ends a command by a defect is told by its place, and not by what it was given."""
    crashing = sqlite_environment | {"PYTHONPATH": str(CRASHING)}
    typed = canaries.text("crash password")
    ran = run_doorman("users", "create", "ann", "--password-stdin", environment=crashing, cwd=tmp_path, text=typed)
    assert ran.returncode == 1
    assert TELLS_NOTHING in ran.stderr
    assert not canaries.found_in((ran.stdout + ran.stderr).encode())


def test_wrong_settings_are_told_without_their_secrets(sqlite_environment: Environment, canaries: Canaries) -> None:
    """A wrong one is named, and what was set, if it may be secret, is not repeated; nor are right ones shown."""
    token = canaries.token
    wrong = {
        "SECRET_KEY": token("key")[:31],
        "DATABASE_URL": f"mongodb://user:{token('database password')}@:x:/?{token('option')}",
        "AUTH_TOKEN": f"no token: {token('token')}",
        "OIDC_ISSUER": f"https://user:{token('issuer password')}@example.com/?x",
    }
    canaries.add("short key", wrong["SECRET_KEY"])
    for name, value in wrong.items():
        with pytest.raises(SetupError) as raised:
            create_core(Settings.from_env(sqlite_environment | {name: value})).close()
        assert not canaries.found_in((str(raised.value) + repr(raised.value)).encode()), name
    right = {"SECRET_KEY": token("a right key") * 2, "BASIC_AUTH_PASSWORD": token("a right password")}
    right["DATABASE_URL"] = f"mongodb://user:{token('right password')}@localhost/"
    assert not canaries.found_in(repr(Settings.from_env(sqlite_environment | right)).encode())


def refusals(core: Core, canaries: Canaries) -> list[Callable[[], object]]:
    """Return calls of the core with secrets, each of which it refuses."""

    def secret(use: str) -> Secret:
        return Secret(canaries.text(use))

    auth, token = core.authenticator, Secret(canaries.token("bearer"))
    admin = auth.password(*(ADMIN[0], Secret(ADMIN[1])), CLIENT)
    other = client_at("127.0.0.2")
    fields: list[dict[str, Any]] = [
        {"password": Secret(canaries.text("too long") * 4)},
        {"password": secret("password"), "token": Secret("no token: " + canaries.token("token"))},
        {"password": Secret("x"), "token": token},
    ]
    return [
        lambda: auth.basic("root", secret("basic"), other),
        lambda: auth.basic("nobody", secret("basic of nobody"), client_at("127.0.0.3")),
        lambda: auth.password("root", secret("password"), client_at("127.0.0.4")),
        lambda: auth.password("root", secret("password while it has to wait"), client_at("127.0.0.4")),
        lambda: auth.bearer(token, client_at("127.0.0.5")),
        lambda: core.tokens.resume(Secret(canaries.token("JWT") + ".e30.x"), other),
        *(
            lambda kind=kind, form=form: core.sessions.resume(kind, Secret(canaries.add("session", form)), other)
            for kind, form in product(KINDS, (canaries.token("session"), "0123456789abcde" * 3))
        ),
        *(lambda given=given: core.accounts.create(admin, "ann", given) for given in fields),
        *(lambda given=given: core.accounts.update(admin, "root", given) for given in fields),
        lambda: core.accounts.create(admin, "root", {"password": secret("of one who exists")}),
        lambda: core.registrations.register(other, "root", secret("of a taken name")),
        lambda: core.oauth_states.finish(
            Secret(canaries.token("ASCII state")), Secret(canaries.token("ASCII browser"))
        ),
        lambda: core.tokens.resume(secret("JWT"), other),
        lambda: core.oauth_states.finish(secret("state"), secret("browser")),
    ]


def test_no_exception_of_the_core_holds_a_secret(
    environment: Environment, canaries: Canaries, record_property: Callable[[str, object], None]
) -> None:
    """Neither its text, its form for programmers, nor what led to it; nor do callers and users hold one."""
    core = create_core(Settings.from_env(environment))
    try:
        calls, told = refusals(core, canaries), []
        for call in calls:
            with pytest.raises(DoormanError) as raised:
                call()
            error: BaseException | None = raised.value
            while error is not None:
                told.append(f"{error} {error!r} {vars(error)} {getattr(error, '__notes__', '')}")
                error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        found = canaries.found_in("\n".join(told).encode())
    finally:
        core.close()
    record_property("exceptions looked at", len(told))
    assert not found, found[:5]
