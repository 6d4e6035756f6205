"""What is to be said of a view beside its docstring and its route: shapes, credentials, and what can go wrong."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from marshmallow import Schema

from api.refusals import Refusals

JsonSchema: TypeAlias = Mapping[str, Any]
Shape: TypeAlias = type[Schema] | Schema | JsonSchema
View: TypeAlias = Callable[..., Any]

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that tells no error. ``examples`` are whole bodies; ``api.description.headers`` has the ``headers``."""

    description: str
    status: int = 200
    shape: Shape | None = None  # None: there is no body
    examples: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    content_type: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one view does. ``refusals`` are examples of the errors that only it, or not every other view, can raise.

    ``credentials`` are the security schemes of which one is demanded; ``None`` among them makes that optional.
    """

    answers: tuple[Answer, ...]
    body: Shape | None = None
    body_example: Mapping[str, Any] = field(default_factory=dict)
    query: type[Schema] | None = None
    parameters: tuple[str, ...] = ()  # others, by their names in ``api.description.headers``
    credentials: tuple[str | None, ...] = ()
    refusals: tuple[Exception, ...] = ()
    uses_store: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A group of views that tell errors alike: in ``error_shape``, but for ``own_shapes``."""

    name: str
    description: str
    refusals: Refusals
    error_shape: Shape
    error_type: str = JSON
    own_shapes: Mapping[type[Exception], Shape] = field(default_factory=dict)
    common: tuple[Exception, ...] = ()  # what each of them can raise
    operations: Mapping[View, Operation]

    def shape_of(self, error: Exception) -> Shape:
        """Return the shape of the body that tells an error."""
        return next(
            (self.own_shapes[kind] for kind in type(error).__mro__ if kind in self.own_shapes), self.error_shape
        )


def by_view(surfaces: Iterable[Surface]) -> dict[View, tuple[Surface, Operation]]:
    """Return all that is described, by the function that each view is."""
    return {view: (surface, operation) for surface in surfaces for view, operation in surface.operations.items()}
