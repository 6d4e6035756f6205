"""Settings that contradict each other."""

import ssl
from collections.abc import Mapping
from typing import Any

from api.setting_values import sqlite_path


def contradictions(values: Mapping[str, Any]) -> list[str]:
    """Return what is right alone and wrong together, a sentence each."""
    found = []
    if bool(values["basic_auth_user"]) != bool(values["basic_auth_password"]):
        found.append("BASIC_AUTH_USER and BASIC_AUTH_PASSWORD: set both or neither.")
    if values["auth_token"] and not values["basic_auth_user"]:
        found.append("AUTH_TOKEN: it is the first admin's, so BASIC_AUTH_USER and BASIC_AUTH_PASSWORD are needed too.")
    if values["metrics_port"] == values["port"]:
        found.append("METRICS_PORT and PORT: they must not be the same.")
    if bool(values["tls_cert"]) != bool(values["tls_key"]):
        found.append("TLS_CERT and TLS_KEY: set both or neither.")
    elif values["tls_cert"]:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(values["tls_cert"], values["tls_key"], password="")
        except (OSError, ValueError) as error:
            found.append(
                f"TLS_CERT and TLS_KEY: they are not a PEM certificate chain and its unencrypted key ({error})."
            )
    if len({bool(values[name]) for name in ("oidc_issuer", "oidc_client_id", "oidc_redirect_url")}) > 1:
        found.append("OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_REDIRECT_URL: set all of them or none.")
    elif not values["oidc_issuer"] and (values["oidc_client_secret"] or values["oidc_claim"] != "sub"):
        found.append("OIDC_CLIENT_SECRET and OIDC_CLAIM: they are of use with OIDC_ISSUER alone.")
    if not sqlite_path(values["database_url"].reveal()) and not values["secret_key"]:
        found.append("SECRET_KEY: it is required with MongoDB, since all replicas share it.")
    return found
