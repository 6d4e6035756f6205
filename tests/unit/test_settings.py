"""Settings: defaults, files for secrets, and wrong values that are named with what is allowed."""

import re
import sys
from pathlib import Path

import pytest

from api.options import OPTIONS
from api.settings import Settings
from models.errors import SetupError
from models.secret import Secret
from tests.certificates import make_certificate

KEY = "0123456789abcdef" * 2
OIDC = {
    "OIDC_ISSUER": "https://issuer.example",
    "OIDC_CLIENT_ID": "doorman",
    "OIDC_REDIRECT_URL": "http://localhost:5000/users/login/oauth/callback",
}
README = Path(__file__).parents[2] / "README.md"


def test_defaults_need_nothing() -> None:
    """An empty environment is a working installation on the embedded store, on loopback."""
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.workers, settings.threads) == ("127.0.0.1", 5000, 2, 8)
    assert settings.sqlite_path == Path("data/doorman.db")
    assert (settings.bcrypt_rounds, settings.password_min_length, settings.log_level) == (12, 8, "info")
    assert settings.warnings() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "a b"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "5000x"),
        ("PORT", "-1"),
        ("PORT", "\u0665"),
        ("WORKERS", "0"),
        ("WORKERS", "65"),
        ("THREADS", "0"),
        ("DATABASE_URL", "postgres://localhost"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite://relative"),
        ("DATABASE_URL", "sqlite:////"),
        ("DATABASE_URL", "sqlite:///."),
        ("DATABASE_URL", "sqlite:///x%00y"),
        ("DATABASE_NAME", "a.b"),
        ("DATABASE_NAME", "a" * 64),
        ("SECRET_KEY", "0123456789abcdefghijklmnopqrstu"),
        ("SECRET_KEY", " " * 40),
        ("SECRET_KEY_PREVIOUS", "short"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "https://a.example/path"),
        ("ALLOWED_ORIGINS", "https://user@a.example"),
        ("ALLOWED_ORIGINS", "a.example"),
        ("ALLOWED_ORIGINS", "http://"),
        ("ALLOWED_ORIGINS", "https://a.example:x"),
        ("ALLOWED_ORIGINS", "https://a.example:443"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "proxy"),
        ("BCRYPT_ROUNDS", "3"),
        ("BCRYPT_ROUNDS", "17"),
        ("PASSWORD_MIN_LENGTH", "7"),
        ("PASSWORD_MIN_LENGTH", "73"),
        ("PASSWORD_BLOCKLIST", "/nowhere"),
        ("PASSWORD_WORDS", "acme,ab"),
        ("PASSWORD_WORDS", "2026"),
        ("PASSWORD_BLOCKLIST", sys.executable),
        ("SURFACES", "v2,classics"),
        ("SURFACES", ","),
        ("SURFACES", "all,v2"),
        ("REGISTRATION", "maybe"),
        ("REGISTRATIONS_PER_HOUR", "0"),
        ("SESSION_IDLE_DAYS", "0"),
        ("SESSION_MAX_DAYS", "366"),
        ("TOKEN_DAYS", "91"),
        ("TOKEN_ISSUER", "two words"),
        ("OIDC_ISSUER", "http://issuer.example"),
        ("OIDC_ISSUER", "https://issuer.example/?x"),
        ("OIDC_ISSUER", "https://user@issuer.example"),
        ("OIDC_ISSUER", "https://"),
        ("OIDC_ISSUER", "https://issuer.example:x"),
        ("OIDC_CLIENT_ID", "\u00fc"),
        ("OIDC_CLAIM", "two words"),
        ("OIDC_REDIRECT_URL", "/users/login/oauth/callback"),
        ("OIDC_REDIRECT_URL", "https://users.example/#callback"),
        ("WEBSOCKETS", "0"),
        ("WEBSOCKETS_PER_ADDRESS", "100001"),
        ("LOG_LEVEL", "loud"),
        ("TLS_CERT", "/nowhere"),
        ("TLS_KEY", "/nowhere"),
    ],
)
def test_wrong_values_are_named_with_what_is_allowed(name: str, value: str) -> None:
    """A wrong value stops the start; the message names the setting and what is allowed, and not a secret value."""
    with pytest.raises(SetupError) as caught:
        Settings.from_env({name: value})
    assert f"{name} must be {OPTIONS[name].allowed}." in str(caught.value)
    if OPTIONS[name].in_file:
        assert value not in str(caught.value).replace(OPTIONS[name].allowed, "")


def test_all_wrong_values_are_told_at_once() -> None:
    """One message names every wrong setting."""
    with pytest.raises(SetupError, match=r"(?s)PORT.*LOG_LEVEL"):
        Settings.from_env({"PORT": "x", "LOG_LEVEL": "x"})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"BASIC_AUTH_USER": "root"}, "BASIC_AUTH_USER and BASIC_AUTH_PASSWORD: set both or neither"),
        ({"BASIC_AUTH_PASSWORD": "x"}, "BASIC_AUTH_USER and BASIC_AUTH_PASSWORD: set both or neither"),
        ({"AUTH_TOKEN": "x"}, "AUTH_TOKEN: it is the first admin's"),
        ({"TLS_CERT": __file__}, "TLS_CERT and TLS_KEY: set both or neither"),
        ({"TLS_CERT": __file__, "TLS_KEY": __file__}, "TLS_CERT and TLS_KEY: they are not a PEM certificate"),
        ({"DATABASE_URL": "mongodb://localhost"}, "SECRET_KEY: it is required with MongoDB"),
        ({"OIDC_ISSUER": "https://a.example"}, "OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_REDIRECT_URL: set all of them"),
        (OIDC | {"OIDC_REDIRECT_URL": ""}, "OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_REDIRECT_URL: set all of them"),
        ({"OIDC_CLIENT_SECRET": "x"}, "OIDC_CLIENT_SECRET and OIDC_CLAIM: they are of use with OIDC_ISSUER alone"),
        ({"OIDC_CLAIM": "email"}, "OIDC_CLIENT_SECRET and OIDC_CLAIM: they are of use with OIDC_ISSUER alone"),
        ({"SECRET_KEY": KEY, "SECRET_KEY_FILE": __file__}, "SECRET_KEY and SECRET_KEY_FILE are both set"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY_FILE: /nowhere cannot be read"),
        ({"SECRET_KEY_FILE": "/dev/null"}, "SECRET_KEY_FILE: /dev/null is empty"),
    ],
)
def test_settings_that_contradict_each_other(environ: dict[str, str], message: str) -> None:
    """What is right alone and wrong together is refused, and says which settings."""
    with pytest.raises(SetupError, match=re.escape(message)):
        Settings.from_env(environ)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"REGISTRATON": "closed"}, "REGISTRATON is no setting, and has a value of REGISTRATION"),
        ({"REGISTRATIONS": "closed"}, "REGISTRATIONS is no setting, and has a value of REGISTRATION"),
        ({"registration": "closed"}, "registration is no setting, and has a value of REGISTRATION"),
        ({"SURFACE": "v2"}, "SURFACE is no setting, and has a value of SURFACES"),
        ({"SURFACES_": "v2, jwt", "PORT": "x"}, "SURFACES_ is no setting, and has a value of SURFACES"),
    ],
)
def test_a_misspelling_that_would_leave_a_door_open_stops_the_start(environ: dict[str, str], message: str) -> None:
    """What was to be closed must not stay open for a letter: both names are told, beside whatever else is wrong."""
    with pytest.raises(SetupError, match=message):
        Settings.from_env(environ)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("TRUSTED_PROXY", "10.0.0.2", "TRUSTED_PROXIES"),
        ("ALOWED_ORIGINS", "https://a.example", "ALLOWED_ORIGINS"),
        ("SECRET_KEYFILE", "/nowhere", "SECRET_KEY_FILE"),
        ("SECRET_KEY_FIEL", "/nowhere", "SECRET_KEY_FILE"),
        ("DATABASE_URI", "mongodb://u:canary@db", "DATABASE_URL"),
        ("REGISTRATON", "open", "REGISTRATION"),
        ("SURFACE", "rough", "SURFACES"),
        ("REGISTRATION_FILE", "/nowhere", "REGISTRATION"),
        ("TLS_CERT_FILE", "/nowhere", "TLS_CERT"),
        ("log_level", "debug", "LOG_LEVEL"),
    ],
)
def test_names_that_are_like_a_setting_warn(name: str, value: str, meant: str) -> None:
    """The warning has both names, and not the value, which may be a secret."""
    [warning] = Settings.from_env({name: value}).warnings()
    assert re.search(rf"\b{name} is no setting.*\b{meant}\b", warning)
    assert value not in warning


@pytest.mark.parametrize(
    "environ",
    [{"REGISTRATION": "open", "REGISTRATIONS": "closed"}, {"DATABASE_URL": "sqlite:///x.db", "DATABASE_URI": "x"}],
)
def test_names_beside_the_setting_itself_are_others(environ: dict[str, str]) -> None:
    """Whoever has set the one that there is needs no advice, and may have another program's variables."""
    assert Settings.from_env(environ).warnings() == []


def test_what_is_usual_in_an_environment_is_no_misspelling() -> None:
    """Nobody is warned of what shells, containers, Python, CI, Kubernetes and other services have there."""
    usual = """
        PATH HOME HOSTNAME HOSTTYPE LOGNAME USER SHELL TERM LANG LC_ALL PWD OLDPWD SHLVL TMPDIR TZ MAIL PORTS HOSTS
        LOG_LEVELS LOG_DIR LOG_FILE HTTP_PROXY HTTPS_PROXY NO_PROXY no_proxy SSH_AUTH_SOCK XDG_RUNTIME_DIR NOTIFY_SOCKET
        INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID PYTHONPATH PYTHON_VERSION VIRTUAL_ENV GPG_KEY SSL_CERT_FILE
        SSL_CERT_DIR KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT KUBERNETES_PORT_443_TCP
        DOORMAN_HOST DOORMAN_PORT DOORMAN_SERVICE_HOST MONGO_PORT MONGODB_URI DATABASE_HOST DATABASE_PORT
        DATABASE_PASSWORD SECRET SECRETS TOKEN API_KEY API_TOKEN ACCESS_TOKEN GITHUB_TOKEN CI_JOB_TOKEN AWS_REGION
        WEB_CONCURRENCY OMP_NUM_THREADS NUM_THREADS FLASK_APP FLASK_RUN_PORT NODE_ENV METRICS METRICS_PATH TLS KEY CERT
        ERROR_LOG SESSION_ID SESSION_MANAGER SESSION_SECRET ALLOWED_HOSTS PROXY SURFACE_ID
    """
    assert Settings.from_env(dict.fromkeys(usual.split(), "5000")).warnings() == []


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.in_file])
def test_each_secret_may_come_from_a_file(tmp_path: Path, name: str) -> None:
    """``NAME_FILE`` names a file whose text, without the last line's end, is the secret."""
    value = "sqlite:///elsewhere.db" if name == "DATABASE_URL" else "a secret of thirty-two bytes, or more"
    path = tmp_path / "secret"
    path.write_text(value + "\r\n")
    others = {"BASIC_AUTH_USER": "root", "BASIC_AUTH_PASSWORD": "x"} | OIDC
    others.pop(name, None)
    settings = Settings.from_env({**others, f"{name}_FILE": str(path)})
    read = getattr(settings, name.lower())
    assert (read.reveal() if isinstance(read, Secret) else read) == value


def test_secrets_do_not_print_themselves() -> None:
    """No secret stands in the settings' own text."""
    secrets = {
        "BASIC_AUTH_USER": "root",
        "BASIC_AUTH_PASSWORD": "canary-password",
        "AUTH_TOKEN": "canary-token",
        "SECRET_KEY": "canary-key" * 4,
        "DATABASE_URL": "mongodb://user:canary-url@localhost",
    }
    settings = Settings.from_env(secrets)
    assert "canary" not in f"{settings} {settings!r} {settings.secret_key} {settings.auth_token:>20}"


@pytest.mark.parametrize(
    ("environ", "warned"),
    [
        ({"BCRYPT_ROUNDS": "9"}, "BCRYPT_ROUNDS=9"),
        ({"BCRYPT_ROUNDS": "10"}, None),
        ({"HOST": "0.0.0.0"}, "HOST=0.0.0.0"),
        ({"HOST": "::"}, "HOST=::"),
        ({"HOST": "users.example.com"}, "HOST=users.example.com"),
        ({"HOST": "0.0.0.0", "TRUSTED_PROXIES": "10.0.0.0/8"}, None),
        ({"HOST": "::1"}, None),
        ({"HOST": "127.8.8.8"}, None),
        ({"HOST": "localhost"}, None),
    ],
)
def test_unwise_values_warn(environ: dict[str, str], warned: str | None) -> None:
    """Cheap hashes, and plain text beyond loopback without a declared proxy, are allowed and warned of."""
    warnings = Settings.from_env(environ).warnings()
    assert len(warnings) == (warned is not None)
    assert all(warned is not None and warned in warning for warning in warnings)


def test_tls_ends_the_warning(tmp_path: Path) -> None:
    """With a certificate and its key, listening beyond loopback is no reason to warn."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    settings = Settings.from_env({"HOST": "0.0.0.0", "TLS_CERT": str(certificate), "TLS_KEY": str(key)})
    assert settings.warnings() == []


def test_empty_values_are_absent_ones() -> None:
    """An empty variable, as compose files make them, leaves the default in force."""
    assert Settings.from_env(dict.fromkeys(OPTIONS, "")) == Settings.from_env({})


def test_the_readme_documents_each_setting() -> None:
    """The README's table has a row for each setting, with its default, and ``_FILE`` named where there is one."""
    rows = re.findall(r"^\| `([A-Z_]+)`(, `[A-Z_]+_FILE`)? \| (?:`([^`]*)`)?[^|]*\|", README.read_text(), re.MULTILINE)
    documented = {name: (default, bool(file)) for name, file, default in rows}
    assert documented == {name: (option.default, option.in_file) for name, option in OPTIONS.items()}
