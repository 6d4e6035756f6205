"""The layers, as the code's own imports show them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in [ROOT / "app.py", *ROOT.glob("api/**/*.py"), *ROOT.glob("models/**/*.py")]
}
ONE_IMPORTER = {
    "joserfc": {"models.jwt"},
    "httpx2": {"api.issuer_http"},
    "authlib": {"api.issuer_http"},
    "bcrypt": {"models.bcrypt_hashes"},
    "argon2": {"models.derivations"},
    "passlib": {"models.crypt_hashes"},
    "sqlite3": {"models.storage.sqlite.driver"},
}


def imports_of(module: str) -> Iterator[str]:
    """Yield what the module imports, lazily or not: modules of the project whole, others by their first name."""
    for node in ast.walk(ast.parse(SOURCES[module].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            own = next((part for part in (name, name.rpartition(".")[0]) if part in SOURCES), None)
            yield own or name.partition(".")[0]


IMPORTS = {module: set(imports_of(module)) for module in SOURCES}


@pytest.mark.parametrize("module", [module for module in SOURCES if module.startswith("models")])
def test_models_know_nothing_of_the_outside(module: str) -> None:
    """``models`` imports neither ``api`` nor ``app``, and no web framework, serialiser or server."""
    outside = {"flask", "flask_httpauth", "werkzeug", "marshmallow", "granian", "click", "app"}
    assert not {name for name in IMPORTS[module] if name in outside or name.startswith("api")}


@pytest.mark.parametrize("module", [module for module in SOURCES if module.startswith("api")])
def test_the_outside_knows_neither_the_root_nor_the_stores(module: str) -> None:
    """``api`` does not import the composition root or a store's implementation."""
    assert not {name for name in IMPORTS[module] if name == "app" or name.startswith("models.storage.")}


@pytest.mark.parametrize("module", [module for module in SOURCES if module.startswith("models.storage")])
def test_stores_know_only_what_they_keep(module: str) -> None:
    """Storage imports the user, records, events, errors, findings, itself, and what says that it may wait."""
    known = {"models.user", "models.records", "models.events", "models.errors", "models.findings", "models.waiting"}
    assert not {
        name
        for name in IMPORTS[module]
        if name.startswith("models") and name not in known and not name.startswith("models.storage")
    }


def test_imports_have_no_cycle() -> None:
    """No module imports itself by way of others, lazy imports included."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"import cycle: {' → '.join([*path, module])}"
        if module not in done:
            for imported in IMPORTS[module] & SOURCES.keys() - {module}:
                visit(imported, (*path, module))
            done.add(module)

    for module in SOURCES:
        visit(module, ())


@pytest.mark.parametrize("library", ONE_IMPORTER)
def test_drivers_are_imported_once(library: str) -> None:
    """Each of these libraries has one importer, which the rest of the code can be exchanged behind."""
    assert {module for module, imported in IMPORTS.items() if library in imported} == ONE_IMPORTER[library]


def test_pymongo_stays_in_its_store() -> None:
    """PyMongo and BSON are imported by the modules of the mongo store alone."""
    importers = {module for module, imported in IMPORTS.items() if imported & {"pymongo", "bson"}}
    assert importers
    assert all(module.startswith("models.storage.mongo.") for module in importers)


def test_the_environment_is_read_in_one_place() -> None:
    """``os.environ`` is read by the settings alone."""
    readers = {module for module, path in SOURCES.items() if "os.environ" in path.read_text()}
    assert readers == {"api.settings"}


def test_nothing_is_sent_by_mail() -> None:
    """No address of a user's is ever written to, so none lets anybody in (OWASP ASVS 5, 6.3.6)."""
    senders = {"smtplib", "aiosmtplib", "flask_mail", "flask_mailman", "twilio"}
    assert not {module for module, imported in IMPORTS.items() if imported & senders}


def test_no_file_is_a_drawer() -> None:
    """Files are at most 250 lines, and named for what is in them."""
    for module, path in SOURCES.items():
        assert len(path.read_text().splitlines()) <= 250, module
        assert path.stem not in {"utils", "helpers", "common", "base", "misc"}
