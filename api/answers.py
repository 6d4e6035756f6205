"""Answers in JSON."""

from flask import Response, jsonify


def json_answer(status: int, body: object) -> Response:
    """Make an answer whose body is a JSON value."""
    answer = jsonify(body)
    answer.status_code = status
    return answer
