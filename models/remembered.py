"""What this process has verified: which credentials opened what, so that the next request need not hash again."""

import hmac
import secrets
from collections import OrderedDict
from threading import Lock

from models.secret import Secret

_CAPACITY = 10_000  # credentials: some 3 MB


class RememberedCredentials:
    """A bounded memory of credentials that were right, each with the stored value that it was right for.

    It is kept under ``HMAC-SHA256(random key of this process, user name ‖ credential)`` and the address that it came
    from, and opens a user only while the user, as read for the request at hand, still has that stored value: a changed
    or deleted credential misses on every replica at its next request, and nothing need be invalidated or shared. From
    another address it has to pass the limiter first, or else whoever guesses would learn from the memory what others
    use. Failures are never kept. Which one was not used for the longest time is forgotten first.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._mac = hmac.new(secrets.token_bytes(32), digestmod="sha256")
        self._capacity = capacity
        self._stored: OrderedDict[tuple[bytes, str], str] = OrderedDict()
        self._lock = Lock()

    def name_of(self, user_name: str | None, secret: Secret) -> bytes:
        """Return what a credential is called here; without ``user_name`` one that names its user by itself."""
        user = b"" if user_name is None else b":" + user_name.encode("utf-8", "surrogatepass")
        presented = secret.reveal().encode("utf-8", "surrogatepass")
        mac = self._mac.copy()  # hmac.digest() lets go of the interpreter's lock, and waits for it to be free again
        mac.update(b"%d:%b%b" % (len(user), user, presented))
        return mac.digest()

    def stored_value(self, credential: bytes, address: str) -> str | None:
        """Return the stored value that this credential was right for, or ``None`` if it never was, or was forgotten."""
        key = (credential, address)
        with self._lock:
            stored = self._stored.get(key)
            if stored is not None:
                self._stored.move_to_end(key)
            return stored

    def remember(self, credential: bytes, address: str, stored: str) -> None:
        key = (credential, address)
        with self._lock:
            self._stored[key] = stored
            self._stored.move_to_end(key)
            if len(self._stored) > self._capacity:
                self._stored.popitem(last=False)

    def forget(self, credential: bytes, address: str) -> None:
        with self._lock:
            self._stored.pop((credential, address), None)
