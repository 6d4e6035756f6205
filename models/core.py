"""The core: everything that surfaces call, put together over one store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.account_rules import AccountRules
from models.accounts import Accounts
from models.audit import AuditTrail
from models.audit_upkeep import AuditUpkeep
from models.credentials import Authenticator
from models.errors import SetupError
from models.events import Kind
from models.exports import Exports
from models.form_tokens import FormTokens
from models.hashing_gate import HashingGate
from models.id_tokens import IdTokens
from models.importer import Importer
from models.listing import Listing
from models.login_failures import LoginFailures
from models.login_limiter import LoginLimiter
from models.lookups import Lookups
from models.meter import UNMETERED, Meter
from models.oauth_logins import OAuthLogins
from models.oauth_states import OAuthStates
from models.origins import Whence, nowhere
from models.password_checks import PasswordChecks
from models.passwords import Hasher, PasswordPolicy
from models.registrations import RegistrationPolicy, Registrations
from models.secret_key import KeyRing
from models.sessions import Lifetimes, Sessions
from models.signing_keys import SigningKeys
from models.storage import Store
from models.tokens import Tokens
from models.told_values import ToldValues
from models.trail import Trail
from models.uses import Uses

OPEN = RegistrationPolicy()
LIFETIMES = Lifetimes(idle=timedelta(days=30), absolute=timedelta(days=90), token=timedelta(days=7))
ISSUER = "doorman"
AUDIT_KEPT = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Core:
    """What a surface is given."""

    store: Store
    lookups: Lookups
    authenticator: Authenticator
    accounts: Accounts
    listing: Listing
    registrations: Registrations
    sessions: Sessions
    tokens: Tokens
    signing_keys: SigningKeys
    id_tokens: IdTokens
    oauth_states: OAuthStates
    oauth_logins: OAuthLogins
    form_tokens: FormTokens
    uses: Uses
    audit: AuditTrail
    audit_upkeep: AuditUpkeep
    importer: Importer
    exports: Exports

    def close(self) -> None:
        """Write what is left to be written, and let go of the store."""
        self.uses.close()
        self.audit_upkeep.close()
        self.store.close()


def utc_now() -> datetime:
    """Return the time in UTC to the millisecond, which every store keeps exactly."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def prepare_store(
    store: Store, keys: KeyRing, rounds: int, whence: Whence, clock: Callable[[], datetime] = utc_now
) -> None:
    """Make the store ready to serve; idempotent, and safe when many processes do it at once.

    Raises ``SetupError`` when it cannot serve, or holds what was made under another secret key, and
    ``UnavailableError`` when it cannot be reached.
    """
    store.prepare()
    known = [keys.previous.id] if keys.previous else []
    events = Trail(whence, clock).by_system(Kind.SECRET_KEY_CHANGED)
    if not store.adopt_key_id(keys.current.id, known=known, events=events):
        raise SetupError(
            "SECRET_KEY is not the one that this database was used with, so no API token would be found. Set the old "
            "key again; to rotate it, set the new one as SECRET_KEY and the old one as SECRET_KEY_PREVIOUS."
        )
    store.raise_highest_cost(rounds)


def build_core(
    store: Store,
    keys: KeyRing,
    hasher: Hasher,
    policy: PasswordPolicy,
    *,
    gate: HashingGate | None = None,
    registration: RegistrationPolicy = OPEN,
    lifetimes: Lifetimes = LIFETIMES,
    issuer: str = ISSUER,
    meter: Meter = UNMETERED,
    whence: Whence = nowhere,
    audit_kept: timedelta | None = AUDIT_KEPT,
    clock: Callable[[], datetime] = utc_now,
) -> Core:
    """Put the core together over a prepared store, which is not touched yet.

    Without ``gate``, one hash runs at a time. ``whence`` tells where what is done comes from: without it, nothing that
    the audit trail has to know can be done. ``audit_kept`` of ``None`` is for ever.
    """
    gate = gate or HashingGate(1)
    lookups = Lookups(store)
    uses = Uses(store, clock)
    failures = LoginFailures(keys, whence, clock)
    upkeep = AuditUpkeep(store.audit, failures, clock, audit_kept)
    trail = Trail(whence, clock, upkeep.noted)
    sessions = Sessions(store, lookups, keys, clock=clock, lifetimes=lifetimes, uses=uses, trail=trail, meter=meter)
    signing_keys = SigningKeys(store.records, keys, trail=trail, clock=clock, lifetime=lifetimes.token)
    limiter = LoginLimiter(store, keys, clock, failures)
    passwords = PasswordChecks(store, hasher, gate, limiter)
    authenticator = Authenticator(store, lookups, passwords, limiter=limiter, keys=keys, clock=clock, meter=meter)
    rules = AccountRules(policy, hasher, gate, keys)
    accounts = Accounts(
        store,
        lookups,
        rules,
        authenticator=authenticator,
        values=ToldValues(limiter),
        trail=trail,
        clock=clock,
    )
    id_tokens = IdTokens(store.records, clock)
    return Core(
        store,
        lookups,
        authenticator,
        accounts,
        Listing(store),
        Registrations(store, accounts, limiter, keys, clock=clock, policy=registration),
        sessions,
        Tokens(sessions, signing_keys, clock=clock, issuer=issuer, lifetime=lifetimes.token),
        signing_keys,
        id_tokens,
        OAuthStates(store.records, keys, clock),
        OAuthLogins(accounts, id_tokens, limiter),
        FormTokens(keys),
        uses,
        AuditTrail(store.audit, keys),
        upkeep,
        Importer(store, policy, hasher, keys, trail, clock),
        Exports(store, keys, trail),
    )
