"""The composition root: settings, store, core, surfaces, server. The only module that knows them all.

``app`` runs under any ASGI server (``app:app``), ``create_app`` under any WSGI server and ``flask --app app run``.
"""

import gc
import logging
from contextlib import AbstractContextManager, closing
from importlib.metadata import version
from typing import Any

from flask import Blueprint, Flask

from api import cli, first_start
from api.application import Doorman
from api.audit_v2 import AuditV2
from api.auth import HeaderAuth
from api.browsers import BrowserRules
from api.classic import Classic
from api.cli_doctor import doctor
from api.console.surface import Console
from api.crashes import tell_crashes
from api.debugging import refuse_debugger
from api.descriptors import websockets_that_fit
from api.documents import Documents
from api.errors import ERRORS
from api.exchanges import by_system, current_origin
from api.forward_auth import ForwardAuth
from api.guards import MAX_BODY_BYTES, register_guards
from api.health import Health
from api.jwt_users import JwtUsers
from api.launch import Launch
from api.limits import Limits
from api.logs import configure_logging
from api.oauth_proofs import proofs_for
from api.proxies import TrustedProxies
from api.server import AsgiApplication
from api.sessions_v2 import SessionsV2
from api.settings import Settings
from api.status import Status
from api.threads import giving_way
from api.user_auth import UserAuth
from api.users_class import UsersClass
from api.users_v2 import UsersV2
from api.websocket_actions import UserConversations
from api.wires import WebSocketLimits
from models.core import Core, build_core, prepare_store
from models.hashing_gate import HashingGate, slots_for
from models.measured_store import measured
from models.meter import UNMETERED, Meter
from models.passwords import Blocklist, Hasher, PasswordPolicy, shipped_blocklist
from models.secret_key import KeyRing
from models.storage import Examination, Store

logger = logging.getLogger(__name__)


def open_store(settings: Settings) -> Store:
    """Make the store that ``DATABASE_URL`` names. Its driver is imported only if it is the one."""
    if settings.sqlite_path is not None:
        from models.storage.sqlite.store import SqliteStore  # noqa: PLC0415 - see the docstring

        return SqliteStore(settings.sqlite_path)
    from models.storage.mongo.store import MongoStore  # noqa: PLC0415 - see the docstring

    return MongoStore.connect(settings.database_url.reveal(), settings.database_name)


def open_examination(settings: Settings) -> AbstractContextManager[Examination]:
    """Make the examination of the store that ``DATABASE_URL`` names. Nothing is prepared, and nothing made."""
    if settings.sqlite_path is not None:
        from models.storage.sqlite.examination import SqliteExamination  # noqa: PLC0415 - see above

        return closing(SqliteExamination(settings.sqlite_path))
    from models.storage.mongo.examination import MongoExamination  # noqa: PLC0415 - see above

    return closing(MongoExamination(settings.database_url.reveal(), settings.database_name))


def create_core(settings: Settings, *, with_first_admin: bool = True) -> Core:
    """Open and prepare the store, and put the core together over it. Raises ``SetupError``, ``UnavailableError``."""
    core = _core_over(open_store(settings), settings)
    try:
        with by_system():
            prepare_store(core.store, _keys(settings), settings.bcrypt_rounds, current_origin)
        if with_first_admin:
            first_start.first_admin(settings, core.accounts)
    except BaseException:
        core.close()
        raise
    return core


def _core_over(store: Store, settings: Settings, meter: Meter = UNMETERED) -> Core:
    """Put the core together over a store that is prepared, or will be before it is used."""
    blocklist = settings.password_blocklist
    policy = PasswordPolicy(
        settings.password_min_length,
        Blocklist(blocklist.read_text("utf-8")) if blocklist else shipped_blocklist(),
        settings.password_words,
    )
    return build_core(
        store,
        _keys(settings),
        Hasher(settings.bcrypt_rounds),
        policy,
        gate=HashingGate(slots_for(settings.workers), giving_way, meter),
        registration=settings.registration_policy,
        lifetimes=settings.session_lifetimes,
        issuer=settings.token_issuer,
        meter=meter,
        whence=current_origin,
        audit_kept=settings.audit_kept,
    )


def _keys(settings: Settings) -> KeyRing:
    return KeyRing(first_start.secret_key(settings), settings.secret_key_previous)


def create_app(settings: Settings | None = None, core: Core | None = None, launch: Launch | None = None) -> Doorman:
    """Make the Flask application, over a core of its own unless it is given one: the store is opened once a process."""
    refuse_debugger()
    settings = settings or Settings.from_env()
    configure_logging(settings)
    if core is None:  # under another server than ``doorman serve``, which warns before it starts workers
        core = create_core(settings)
        for warning in settings.misspelt:
            logger.warning(warning)
    launch = launch or Launch()
    proxies = TrustedProxies(settings.trusted_proxies)
    app = Doorman(core, settings.threads, proxies)
    register_guards(app)
    browsers = BrowserRules(settings.allowed_origins, proxies)
    browsers.register(app)
    ERRORS.register(app)
    app.register_blueprint(Health(core.store).blueprint())
    if "websocket" in settings.surfaces:
        fitting = websockets_that_fit(settings.websockets)
        limits = WebSocketLimits(in_all=fitting, per_address=settings.websockets_per_address)
        app.conversations = UserConversations(core, proxies, browsers, limits, launch.meter)
    if "console" in settings.surfaces:
        blueprint = Console(core, proxies).blueprint()
        browsers.keep_to_own_pages(blueprint)
        app.open_surface("console", blueprint)
    for surface in sorted(settings.surfaces & _BLUEPRINTS.keys()):
        for blueprint in _BLUEPRINTS[surface](core, proxies, settings):
            app.open_surface(surface, blueprint)
    if "v2" in settings.surfaces:
        forward_auth = ForwardAuth(core, proxies).blueprint()
        browsers.keep_to_proxies(forward_auth)
        app.open_surface("v2", forward_auth)
        about = {"version": version("doorman"), "workers": settings.workers, "surfaces": sorted(settings.surfaces)}
        status = Status(core.store, HeaderAuth(core.authenticator, proxies), launch, about)
        app.open_surface("v2", status.blueprint())
    return app


def _v2(core: Core, proxies: TrustedProxies, _: Settings) -> list[Blueprint]:
    auth = HeaderAuth(core.authenticator, proxies)
    return [UsersV2(core, auth).blueprint(), SessionsV2(core, auth).blueprint(), AuditV2(core, auth).blueprint()]


def _syncano(core: Core, proxies: TrustedProxies, _: Settings) -> list[Blueprint]:
    return [UserAuth(core, proxies).blueprint(), UsersClass(core, proxies).blueprint()]


def _classic(core: Core, proxies: TrustedProxies, _: Settings) -> list[Blueprint]:
    return [Classic(core, proxies).blueprint()]


def _jwt(core: Core, proxies: TrustedProxies, settings: Settings) -> list[Blueprint]:
    return [JwtUsers(core, proxies, proofs_for(settings, core, proxies)).blueprint()]


def _docs(_: Core, __: TrustedProxies, settings: Settings) -> list[Blueprint]:
    return [Documents(_openapi, _asyncapi if "websocket" in settings.surfaces else None).blueprint()]


def _openapi(app: Flask) -> dict[str, Any]:
    from api.description.openapi import openapi_document  # noqa: PLC0415 - only workers that are asked load it

    return openapi_document(app)


def _asyncapi(_: Flask) -> dict[str, Any]:
    from api.description.asyncapi import asyncapi_document  # noqa: PLC0415 - see above

    return asyncapi_document()


_BLUEPRINTS = {"v2": _v2, "syncano": _syncano, "classic": _classic, "jwt": _jwt, "docs": _docs}


def _create_prepared_app() -> Doorman:
    settings, launch = Settings.from_env(), prepared_app.launch
    core = _core_over(measured(open_store(settings), launch.meter), settings, launch.meter)
    app = create_app(settings, core, launch)
    # What a worker starts with, it keeps; and looking through it for garbage stops everything for up to 60 ms.
    gc.collect()
    gc.freeze()
    return app


_limits = Limits(body_bytes=MAX_BODY_BYTES)
app = AsgiApplication(create_app, limits=_limits)
# What the workers of ``doorman serve`` run. The store is prepared before they start, so a worker that replaces a dead
# one while the database is away comes up all the same, and answers 503 until it is back.
prepared_app = AsgiApplication(_create_prepared_app, limits=_limits)


# The one command that wants a store as it is, and no core over it.
cli.main.add_command(doctor(open_examination))


def main() -> None:
    """Run the command line."""
    tell_crashes()
    cli.main(obj=create_core)
