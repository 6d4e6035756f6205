"""Werkzeug's debugger, which runs what is typed into a page: none but this machine may get at it."""

import click
from flask.helpers import get_debug_flag

from api.setting_values import is_loopback


def refuse_debugger() -> None:
    """End the process if ``flask run`` would offer the debugger beyond loopback.

    It would be there before any request reaches the application. A mere error would not do: when its reloader meets
    one, ``flask run`` goes on with the debugger to show it.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.command.name != "run" or "debugger" not in context.params:
        return  # none of the other servers has one
    has_debugger = context.params["debugger"]
    if has_debugger is None:
        has_debugger = get_debug_flag()
    if has_debugger:
        require_loopback(context.params["host"])


def require_loopback(host: str | None) -> None:
    """End the process unless this is an address of this machine alone; ``None`` stands for one."""
    if host is not None and not is_loopback(host):
        raise SystemExit(
            f"{host} is not this machine alone, and whoever reaches the debugger can run anything: bind to 127.0.0.1."
        )
