"""Reading all the documents that a filter matches, in one round trip."""

from collections.abc import Iterable

from pymongo.database import Database
from pymongo.errors import PyMongoError

from models.storage.mongo.connection import Document

_MOST = 1000  # documents in one answer


def find_all(database: Database[Document], collection: str, wanted: Document) -> Iterable[Document]:
    """Find documents, up to a few hundred; more may take more round trips.

    Each request does this, and the driver's cursors make it cost a tenth more than the bare command does. What they do
    beside it is left to them: to ask again when the connection broke or the primary changed, and to fetch the rest.
    """
    command = {
        "find": collection,
        "filter": wanted,
        "batchSize": _MOST,
        "readConcern": database.read_concern.document,
    }
    try:
        cursor = database.command(command, codec_options=database.codec_options)["cursor"]
    except PyMongoError as error:
        if error.timeout:
            raise
    else:
        if cursor["id"] == 0:
            documents: list[Document] = cursor["firstBatch"]
            return documents
    return database[collection].find(wanted)
