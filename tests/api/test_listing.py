"""Lists: pages by keyset, filters, and the whole list as a stream."""

from itertools import pairwise

import pytest
from werkzeug.http import parse_options_header

from tests.api.conftest import USERS, Api
from tests.storage.stores import make_user


@pytest.fixture
def names(api: Api) -> list[str]:
    """Some users beside root, in the order in which a list has them."""
    added = ["a", "ab", "Abc", "b.1", "b_2", "z\u00e9ro", "\u00e9lan", "\u03a9mega", "\u65e5\u672c", "\U00020000x"]
    for name in reversed(added):
        api.add(name, "manager" if name.startswith("b") else "noob")
    return sorted([*added, "root"], key=lambda name: name.lower())


def follow(api: Api, path: str) -> list[list[str]]:
    """Return the names of each page, from ``path`` on along the ``Link`` headers."""
    pages = []
    while path:
        answer = api.call("GET", path)
        assert answer.status_code == 200, answer.text
        pages.append(answer.get_json()["users"])
        target, parameters = parse_options_header(answer.headers.get("Link", ""))
        assert parameters.get("rel", "next") == "next"
        path = target.strip("<>")
    return pages


def test_pages_make_up_the_whole_list(api: Api, names: list[str]) -> None:
    """Following ``Link`` visits each name once, in the order of the whole list, whatever the page's size."""
    assert api.names() == names
    for limit in (1, 3, len(names), 1000):
        pages = follow(api, f"{USERS}?limit={limit}")
        assert [name for page in pages for name in page] == names
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert all(first != second for first, second in pairwise(follow(api, f"{USERS}?limit=2")))


def test_filters_narrow_and_are_kept_by_links(api: Api, names: list[str]) -> None:
    """``prefix``, ``user_group`` and ``after`` combine, with and without pages, and the next page keeps them."""
    assert api.get("?prefix=A").get_json()["users"] == ["a", "ab", "Abc"]
    assert api.get("?prefix=ab&after=AB").get_json()["users"] == ["Abc"]
    assert api.get("?user_group=manager").get_json()["users"] == ["b.1", "b_2"]
    assert api.get("?user_group=manager&prefix=b_").get_json()["users"] == ["b_2"]
    assert api.get("?after=zzz&prefix=%C3%A9").get_json()["users"] == ["\u00e9lan"]
    assert follow(api, f"{USERS}?limit=1&user_group=manager&prefix=b") == [["b.1"], ["b_2"]]
    assert api.get("?prefix=nobody").get_json() == {"users": []}
    assert api.get("?limit=5&prefix=nobody").get_json() == {"users": []}


def test_after_need_not_exist(api: Api, names: list[str]) -> None:
    """``after`` is a position, so a name that was deleted meanwhile, or that cannot be one, still has its place."""
    assert api.get("?after=aba&limit=1").get_json()["users"] == ["Abc"]
    assert api.get("?after=a%20b&limit=1").get_json()["users"] == ["ab"]


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("limit=0", "limit", "It must be 1 to 1000."),
        ("limit=1001", "limit", "It must be 1 to 1000."),
        ("limit=ten", "limit", "It must be 1 to 1000."),
        ("limit=1e2", "limit", "It must be 1 to 1000."),
        ("limit=" + "9" * 5000, "limit", "It must be 1 to 1000."),
        ("limit=", "limit", "It must be 1 to 1000."),
        ("limit=1&limit=2", "limit", "It may be given once."),
        ("limit=%2B5", "limit", "It must be 1 to 1000."),
        ("limit=1_0", "limit", "It must be 1 to 1000."),
        ("limit=%EF%BC%91", "limit", "It must be 1 to 1000."),
        ("oauth=2", "oauth", "It must be 0 or 1."),
        ("oauth=true", "oauth", "It must be 0 or 1."),
        ("prefix=%FF", "query", "It must be UTF-8."),
        ("%ED%A0%80=1", "query", "It must be UTF-8."),
        ("user_group=boss", "user_group", "It must be one of: noob, manager, admin."),
        ("offset=10", "offset", "It is not a field that can be given here."),
    ],
)
def test_wrong_queries_are_named(sqlite_api: Api, query: str, field: str, rule: str) -> None:
    """A parameter that is out of bounds, unknown or given twice answers 400 with its name and rule."""
    answer = sqlite_api.get(f"?{query}")
    assert (answer.status_code, answer.get_json()) == (400, {"invalid_parameters": {field: [rule]}})


def test_odd_texts_in_queries_do_no_harm(sqlite_api: Api) -> None:
    """Whatever ``after`` and ``prefix`` hold, the answer is a list."""
    for text in ("%00", "%F4%8F%BF%BF", "%", "$gt", "'%20OR%201=1", "a" * 5000):
        for parameter in ("after", "prefix"):
            assert sqlite_api.get(f"?{parameter}={text}").status_code == 200


def test_a_long_list_is_streamed_in_pieces(api: Api) -> None:
    """Past one piece the list is still one JSON document, without a Content-Length, and complete."""
    users = [f"user{number:05}" for number in range(4500)]
    api.core.store.insert([make_user(name) for name in users], ())
    answer = api.get()
    assert answer.get_json()["users"] == ["root", *users]
    assert "Content-Length" not in answer.headers
    assert [len(page) for page in follow(api, f"{USERS}?limit=1000&prefix=user")] == [1000] * 4 + [500]
