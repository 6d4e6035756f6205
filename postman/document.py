"""The OpenAPI document of a Doorman that serves everything."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from api.description.openapi import openapi_document
from api.settings import Settings
from app import create_app


def full_document() -> dict[str, Any]:
    """Return the document, as a Doorman with default settings shows it."""
    with TemporaryDirectory() as folder:
        app = create_app(
            Settings.from_env(
                {
                    "DATABASE_URL": f"sqlite:///{Path(folder)}/doorman.db",
                    "BASIC_AUTH_USER": "nobody",
                    "BASIC_AUTH_PASSWORD": "is ever logged in",
                    "BCRYPT_ROUNDS": "4",
                    "LOG_LEVEL": "error",
                }
            )
        )
        try:
            return openapi_document(app)
        finally:
            app.close()
