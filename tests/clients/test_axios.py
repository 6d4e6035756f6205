"""axios 0.17.1, as the document of the tokens has it, and a token that another server revokes."""

from collections.abc import Callable

from tests.clients.nodejs import HERE, run_node
from tests.databases import ADMIN, Environment
from tests.running import Doorman


def test_axios_uses_tokens(environment: Environment, serve: Callable[[Environment], Doorman]) -> None:
    """It logs in, creates, promotes, and is told what is wrong, as the document shows it."""
    done = run_node(HERE / "axios.mjs", serve(environment).url, ADMIN[1])
    login = done["login"]["data"]["user"]
    assert login == {"username": "root", "name": None, "oauth": 0, "user_group": "admin", "token": login["token"]}
    noob = {"username": "noob", "name": "mike wazowski", "oauth": 0, "user_group": "noob"}
    assert done["noob"] == {"status": 200, "data": {"user": noob}}
    oauth = done["oauth"]["data"]["user"]
    assert oauth == {"username": "hy103", "name": "Bill Yu", "oauth": 1, "user_group": "noob", "token": oauth["token"]}
    assert {name: done[name] for name in ("wrong", "twice", "blank", "anonymous", "permission")} == {
        "wrong": {"status": 422, "data": "E-mail or password is incorrect"},
        "twice": {"status": 422, "data": "Username is already registered"},
        "blank": {"status": 422, "data": "Name, Password cannot be blank."},
        "anonymous": {"status": 401, "data": "Unauthorized"},
        "permission": {"status": 200, "data": "success"},
    }
    assert done["promoted"]["status"] == 200
