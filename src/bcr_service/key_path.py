"""The path of a key, which may be any text."""

from starlette.convertors import Convertor, register_url_convertor


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
