"""What the console's pages have in common for those who use them: fields for passwords, and the way out."""

from importlib.resources import files

from tests.api.conftest import Api
from tests.api.consoles import Page, Visitor

PURPOSES = {"password", "own_password"}


def pages(api: Api) -> dict[str, Page]:
    """Return each page with a form, by its path."""
    visitor = Visitor(api)
    shown = {"login": visitor.get("login")}
    assert visitor.log_in().status == 200
    user_id = api.core.accounts.get("root").id
    paths = ["users", "users/new", f"users/{user_id}"]
    paths += [f"users/{user_id}/{page}" for page in ("edit", "password", "token", "delete")]
    return shown | {path: visitor.get(path) for path in paths}


def test_fields_of_passwords_hide_them_and_help_managers(sqlite_api: Api) -> None:
    """Each is masked, empty, of any length, and says to a password manager which password it is for."""
    found = 0
    for path, page in pages(sqlite_api).items():
        assert page.status == 200
        for tag, given in page.elements:
            if tag != "input" or (given["type"] != "password" and "password" not in given["name"]):
                continue
            found += 1
            assert (given["type"], given["name"] in PURPOSES, given["value"]) == ("password", True, "")
            is_new = given["name"] == "password" and path != "login"
            assert given["autocomplete"] == ("new-password" if is_new else "current-password")
            assert not {"maxlength", "readonly", "disabled", "pattern"} & given.keys()
    assert found == 8
    script = files("api.console").joinpath("static/console.js").read_text()
    assert not [word for word in ("paste", "keydown", "keypress", "beforeinput", "preventDefault") if word in script]


def test_every_page_has_the_way_out(sqlite_api: Api) -> None:
    """A button that says so ends the session, on each page of whoever is logged in."""
    visitor = Visitor(sqlite_api)
    shown = pages(sqlite_api)
    assert not [form for form in shown.pop("login").forms if form.action.endswith("logout")]
    visitor.log_in()
    shown["a password that is shown"] = made_user(visitor)
    for path, page in shown.items():
        assert page.form_to("logout").method == "post", path
        assert "Log out" in page.text, path


def made_user(visitor: Visitor) -> Page:
    visitor.get("users/new")
    page = visitor.submit("new", user_name="zoe")
    assert page.secret
    return page
