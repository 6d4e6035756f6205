"""The console's pages that change one user. What each of them does is written only if nobody was quicker."""

from collections.abc import Callable

from flask import Response

from api.console.forms import Form
from api.console.logins import Logins, raises, rank
from api.console.pages import HOME, Pages
from api.console.users import random_password
from models import account_rules, names
from models.accounts import UserId
from models.core import Core
from models.credentials import Caller
from models.errors import InvalidParametersError, PreconditionFailedError
from models.user import User


class Changes:
    """Each form carries the revision that its page has shown, and is good for that one.

    So two admins do not undo each other's changes, and a page that is loaded anew does nothing a second time.
    """

    def __init__(self, core: Core, pages: Pages, logins: Logins) -> None:
        self._core = core
        self._pages = pages
        self._logins = logins

    def edit_page(self, caller: Caller, user_id: str) -> Response:
        """Show a user's fields: name, e-mail address and group, and whether it is disabled."""
        return self._show("edit.html", caller, user_id)

    def edit(self, caller: Caller, form: Form, user_id: str) -> Response:
        """Change these fields. To let the user do more than it may takes the admin's own password."""

        def change(user: User) -> Response:
            disabled = bool(form["disabled"])
            changes = account_rules.Changes(
                name=form.optional("name"), email=form.optional("email"), user_group=form.group(), disabled=disabled
            )
            if raises(user, changes["user_group"], disabled=disabled):
                self._logins.confirm(caller, form)
            self._core.accounts.update(caller, UserId(user.id), changes, precondition=form.is_about)
            return self._pages.lead(f"users/{user.id}", "changed")

        return self._try("edit.html", caller, form, user_id, change)

    def password_page(self, caller: Caller, user_id: str) -> Response:
        """Show the form for another password."""
        return self._show("password.html", caller, user_id)

    def set_password(self, caller: Caller, form: Form, user_id: str) -> Response:
        """Give the user another password, which ends its sessions: the one typed, or a random one, shown this once."""

        def change(user: User) -> Response:
            password = form.secret("password") if form["password"] else random_password()
            self._logins.confirm(caller, form)
            self._core.accounts.update(caller, UserId(user.id), {"password": password}, precondition=form.is_about)
            if form["password"]:
                return self._pages.lead(f"users/{user.id}", "password")
            return self._pages.show("secret.html", caller, user=user, noun="password", secret=password)

        return self._try("password.html", caller, form, user_id, change)

    def token_page(self, caller: Caller, user_id: str) -> Response:
        """Show the form for another API token."""
        return self._show("token.html", caller, user_id)

    def refresh_token(self, caller: Caller, form: Form, user_id: str) -> Response:
        """Give the user a new API token, which is shown this once; the old one opens nothing any more."""

        def change(user: User) -> Response:
            self._logins.confirm(caller, form)
            token = self._core.accounts.refresh(caller, UserId(user.id), precondition=form.is_about)
            return self._pages.show("secret.html", caller, user=user, noun="token", secret=token)

        return self._try("token.html", caller, form, user_id, change)

    def delete_page(self, caller: Caller, user_id: str) -> Response:
        """Show the form to delete a user by."""
        return self._show("delete.html", caller, user_id)

    def delete(self, caller: Caller, form: Form, user_id: str) -> Response:
        """Delete the user, whose name has to be typed."""

        def change(user: User) -> Response:
            if form["user_name"] != user.user_name and names.lookup_key(form["user_name"].strip()) != user.name_key:
                raise InvalidParametersError({"user_name": ["It is not the name of this user."]})
            self._logins.confirm(caller, form)
            self._core.accounts.delete(caller, UserId(user.id), precondition=form.is_about)
            return self._pages.lead(HOME, "deleted")

        return self._try("delete.html", caller, form, user_id, change)

    def _show(self, template: str, caller: Caller, user_id: str, form: Form | None = None) -> Response:
        """Show a form, as it was filled in or as the user is."""
        user = self._core.accounts.get(UserId(user_id))
        if form is None or form.is_stale:
            form = _form_of(user, form)
        return self._pages.show_form(template, caller, form, user=user, rank=rank(user))

    def _try(
        self, template: str, caller: Caller, form: Form, user_id: str, change: Callable[[User], Response]
    ) -> Response:
        """Change the user, or show the form again with what is wrong."""

        def attempt() -> Response:
            user = self._core.accounts.get(UserId(user_id))
            if not form.is_about(user):
                raise PreconditionFailedError
            return change(user)

        return form.attempt(attempt) or self._show(template, caller, user_id, form)


def _form_of(user: User, stale: Form | None) -> Form:
    """Return a form that is filled in as the user is; if another one was stale, it says so."""
    form = Form(
        {
            "name": user.name or "",
            "email": user.email or "",
            "user_group": user.user_group,
            "disabled": "yes" if user.disabled else "",
        }
    )
    if stale is not None:
        form.problem, form.status = stale.problem, stale.status
    return form
