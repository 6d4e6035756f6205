"""What an examination finds of the collections of a MongoDB database, and of their indexes."""

from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.database import Database

from models.findings import Finding, Tally
from models.storage.mongo.connection import Document
from models.storage.mongo.documents import USERS
from models.storage.mongo.schema import INDEXES, oddities_of

_NAME_INDEX = "name"
_SIGNIFICANT = ("unique", "expireAfterSeconds", "partialFilterExpression", "collation", "sparse", "hidden")
# Options of an index that change which documents may be there, or for how long.
_DANGEROUS = ("unique", "expireAfterSeconds")


def collections_found(database: Database[Document]) -> Iterator[Finding]:
    """Yield what is wrong with the collections, and duplicates of names where no index keeps them out."""
    found = {one["name"]: one for one in database.list_collections(filter={"name": {"$in": list(INDEXES)}})}
    if not found:
        yield Finding(
            code="no_collections",
            severity="note",
            message=f"The database {database.name} has nothing of Doorman's yet.",
            remedy="The first start makes it. If you mean another one, name it in DATABASE_NAME.",
        )
    for name in INDEXES:
        if name in found:
            yield from _collection_found(database, name, found[name].get("options", {}))


def _collection_found(database: Database[Document], name: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    if oddities := oddities_of(options):
        yield Finding(
            code="foreign_collection",
            severity="problem",
            message=f"The collection {name} was made with {', '.join(oddities)}, and cannot serve like that.",
            remedy="Rename or drop it, or use another database: Doorman does not start on this one.",
        )
        return
    if options.get("validator"):
        yield Finding(
            code="validator",
            severity="warning",
            message=f"The collection {name} has a validator, which may refuse what Doorman writes.",
            remedy=f'db.runCommand({{collMod: "{name}", validator: {{}}}})',
        )
    yield from _indexes_found(database, name)


def _indexes_found(database: Database[Document], name: str) -> Iterator[Finding]:
    own: dict[str, Mapping[str, Any]] = {index.document["name"]: index.document for index in INDEXES[name]}
    there: dict[str, Mapping[str, Any]] = {index["name"]: index for index in database[name].list_indexes()}
    missing = []
    for index_name, index in own.items():
        others = [one for one in there.values() if _key(one) == _key(index) or one["name"] == index_name]
        if not others:
            missing.append(index_name)
        elif any(_significant(one) != _significant(index) or one["name"] != index_name for one in others):
            yield Finding(
                code="foreign_index",
                severity="problem",
                message=f"The index {others[0]['name']} of the collection {name} is in the place of Doorman's"
                f" {index_name}, and is another one: no start.",
                remedy=f'db.{name}.dropIndex("{others[0]["name"]}"); the next start makes the right one.',
            )
            missing.append(index_name)
    keys = [_key(index) for index in own.values()]
    for index_name, index in there.items():
        if index_name == "_id_" or index_name in own or _key(index) in keys:
            continue
        dangers = [option for option in _DANGEROUS if option in index and index[option] is not False]
        yield Finding(
            code="dangerous_index" if dangers else "extra_index",
            severity="problem" if dangers else "note",
            message=f"The collection {name} has an index that is not Doorman's, {index_name}"
            + (f", with {', '.join(dangers)}: it may refuse or delete what Doorman writes." if dangers else "."),
            remedy=f'db.{name}.dropIndex("{index_name}")' if dangers else "It costs a little at each write.",
        )
    if missing:
        count = database[name].estimated_document_count()
        yield Finding(
            code="missing_indexes",
            severity="warning",
            message=f"The collection {name}, of about {count} documents, lacks the indexes {', '.join(missing)}: it is"
            " slow, and without a unique one nothing keeps names apart.",
            remedy="The next start makes them, in about 10 s for each million of documents.",
        )
    if name == USERS and _NAME_INDEX in missing:
        yield from _duplicates(database)


def _significant(index: Mapping[str, Any]) -> tuple[object, ...]:
    options = [index.get(option) for option in _SIGNIFICANT]
    return _key(index), *(None if option is False else option for option in options)


def _key(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return by which fields the index is, whose order counts."""
    return list(index["key"].items())


def _duplicates(database: Database[Document]) -> Iterator[Finding]:
    names = Tally(
        "duplicate_names",
        "problem",
        "Names that several users have: no start, since the unique index cannot be made.",
        "Rename or delete all but one of each: another program has made the others.",
    )
    groups: list[Document] = [
        {"$group": {"_id": {"name_key": "$name_key", "oauth": "$oauth"}, "n": {"$sum": 1}}},
        {"$match": {"n": {"$gt": 1}}},
    ]
    for found in database[USERS].aggregate(groups, allowDiskUse=True):
        names.add(found["_id"].get("name_key"))
    yield from names.found()
