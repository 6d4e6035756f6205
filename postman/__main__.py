"""Writes the collection and its environment: ``python -m postman``."""

import json
from pathlib import Path

from postman.collection import collection, environment
from postman.document import full_document

ROOT = Path(__file__).parents[1]
COLLECTION = ROOT / "doorman.postman_collection.json"
ENVIRONMENT = ROOT / "doorman.postman_environment.json"


def text_of(made: object) -> str:
    """Return the text of a file."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    COLLECTION.write_text(text_of(collection(full_document())), "utf-8")
    ENVIRONMENT.write_text(text_of(environment()), "utf-8")
