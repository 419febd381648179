"""What stands in the head of a call: the path of a key, which may be any text, the query, and the fields."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

from bcr_service.problems import Problem

REPLACED = "\ufffd"  # what the server puts in the place of bytes that are no UTF-8


class AnyText(Convertor[str]):
    """All of the rest of a path, slashes and line breaks included: starlette's own `path` stops at these."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any", AnyText())
KEY_PREFIX = "/keys/"
KEY_PATH = KEY_PREFIX + "{key:any}"


def key_in(request: Request) -> str:
    """The key that the path names. Raises Problem where its bytes are no UTF-8: else many addresses would be of one key."""
    key: str = request.path_params["key"]
    if REPLACED in key:
        try:
            unquote_to_bytes(request.scope["raw_path"]).decode()
        except UnicodeDecodeError as error:
            raise Problem(400, f"not a key: no UTF-8: {error}") from error
    return key


def query_in(scope: Mapping[str, Any]) -> dict[str, str]:
    """The parameters behind the path; of several of one name the last. Raises Problem where they are no UTF-8."""
    query: bytes = scope["query_string"]
    if not query:
        return {}
    try:
        return dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError as error:
        raise Problem(400, f"the query is no UTF-8, percent-encoded: {error}") from error


def fields_in(scope: Mapping[str, Any]) -> Mapping[bytes, bytes]:
    """The fields of the head by their names in small letters; what several of one name have is one list."""
    listed: list[tuple[bytes, bytes]] = scope["headers"]
    fields = dict(listed)
    if len(fields) < len(listed):
        fields = {name: b", ".join(value for each, value in listed if each == name) for name in fields}
    return fields
