"""What this process has verified: which credentials opened what, so that the next request need not hash again."""

import hmac
import secrets
from collections import OrderedDict
from threading import Lock

from models.secret import Secret

_CAPACITY = 10_000  # credentials: some 3 MB


class RememberedCredentials:
    """A bounded memory of credentials that were right, each with the stored value that it was right for.

    It is kept under ``HMAC-SHA256(random key of this process, user name ‖ credential)``, and opens a user only while
    the user, as read for the request at hand, still has that stored value: a changed or deleted credential misses on
    every replica at its next request, and nothing need be invalidated or shared. Failures are never kept. Which one was
    not used for the longest time is forgotten first.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._mac = hmac.new(secrets.token_bytes(32), digestmod="sha256")
        self._capacity = capacity
        self._stored: OrderedDict[bytes, str] = OrderedDict()
        self._lock = Lock()

    def name_of(self, user_name: str, secret: Secret) -> bytes:
        """Return what a credential is called here. ``user_name`` is empty for one that names its user by itself."""
        user = user_name.encode("utf-8", "surrogatepass")
        presented = secret.reveal().encode("utf-8", "surrogatepass")
        mac = self._mac.copy()  # hmac.digest() lets go of the interpreter's lock, and waits for it to be free again
        mac.update(b"%d:%b%b" % (len(user), user, presented))
        return mac.digest()

    def stored_value(self, credential: bytes) -> str | None:
        """Return the stored value that this credential was right for, or ``None`` if it never was, or was forgotten."""
        with self._lock:
            stored = self._stored.get(credential)
            if stored is not None:
                self._stored.move_to_end(credential)
            return stored

    def holds(self, credential: bytes) -> bool:
        return credential in self._stored

    def remember(self, credential: bytes, stored: str) -> None:
        with self._lock:
            self._stored[credential] = stored
            self._stored.move_to_end(credential)
            if len(self._stored) > self._capacity:
                self._stored.popitem(last=False)

    def forget(self, credential: bytes) -> None:
        with self._lock:
            self._stored.pop(credential, None)
