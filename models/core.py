"""The core: everything that surfaces call, put together over one store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.account_rules import AccountRules
from models.accounts import Accounts
from models.credentials import Authenticator
from models.errors import SetupError
from models.exports import Exports
from models.form_tokens import FormTokens
from models.hashing_gate import HashingGate
from models.id_tokens import IdTokens
from models.imports import Importer
from models.listing import Listing
from models.login_limiter import LoginLimiter
from models.lookups import Lookups
from models.meter import UNMETERED, Meter
from models.oauth_logins import OAuthLogins
from models.oauth_states import OAuthStates
from models.password_checks import PasswordChecks
from models.passwords import Hasher, PasswordPolicy
from models.registrations import RegistrationPolicy, Registrations
from models.secret_key import KeyRing
from models.sessions import Lifetimes, Sessions
from models.signing_keys import SigningKeys
from models.storage import Store
from models.tokens import Tokens
from models.uses import Uses

OPEN = RegistrationPolicy()
LIFETIMES = Lifetimes(idle=timedelta(days=30), absolute=timedelta(days=90), token=timedelta(days=7))
ISSUER = "doorman"


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
    importer: Importer
    exports: Exports

    def close(self) -> None:
        """Write what is left to be written, and let go of the store."""
        self.uses.close()
        self.store.close()


def utc_now() -> datetime:
    """Return the time in UTC to the millisecond, which every store keeps exactly."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def prepare_store(store: Store, keys: KeyRing, rounds: int) -> None:
    """Make the store ready to serve; idempotent, and safe when many processes do it at once.

    Raises ``SetupError`` when it cannot serve, or holds what was made under another secret key, and
    ``UnavailableError`` when it cannot be reached.
    """
    store.prepare()
    if not store.adopt_key_id(keys.current.id, known=[keys.previous.id] if keys.previous else []):
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
    clock: Callable[[], datetime] = utc_now,
) -> Core:
    """Put the core together over a prepared store, which is not touched yet.

    Without ``gate``, one hash runs at a time.
    """
    gate = gate or HashingGate(1)
    lookups = Lookups(store)
    uses = Uses(store, clock)
    sessions = Sessions(store, lookups, keys, clock=clock, lifetimes=lifetimes, uses=uses, meter=meter)
    signing_keys = SigningKeys(store.records, keys, clock=clock, lifetime=lifetimes.token)
    limiter = LoginLimiter(store, keys, clock)
    passwords = PasswordChecks(store, hasher, gate, limiter)
    authenticator = Authenticator(store, lookups, passwords, limiter=limiter, keys=keys, clock=clock, meter=meter)
    rules = AccountRules(policy, hasher, gate, keys)
    accounts = Accounts(store, lookups, rules, authenticator=authenticator, limiter=limiter, clock=clock)
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
        Importer(store, policy, hasher, keys, clock),
        Exports(store, keys),
    )
