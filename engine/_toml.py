"""TOML text -> values, and the line each key stands on, so that an error can say where.

`tomllib` gives values without positions. The scanner here reads only what positions need: table
headers, keys, and where a value that runs over several lines (array, triple-quoted text) ends.
"""

import re
import tomllib
from typing import Any

Place = tuple[
    str, int, str
]  # table, which one of a [[table]] (0 for [table]), key ("": the header)

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[{]|[\]}]|\n',
    re.S,
)


class TomlError(ValueError):
    """The text is not TOML; `line` is where the parser stopped."""

    def __init__(self, message: str, line: int):
        super().__init__(message)
        self.line = line


def read(text: str) -> tuple[dict[str, Any], dict[Place, int]]:
    """The values and the line of every key (from 1); TomlError if the text is not TOML."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        reason = str(error)[: found.start()] if found else str(error)
        raise TomlError(reason, line) from None
    except RecursionError:
        raise TomlError("nested too deeply", 1) from None
    return values, _lines(text)


def _lines(text: str) -> dict[Place, int]:
    places: dict[Place, int] = {}
    seen: dict[str, int] = {}
    table, index = "", 0
    start = 0
    while start < len(text):
        line = text.count("\n", 0, start) + 1
        if header := _HEADER.match(text, start, _line_end(text, start)):
            table = header[2].strip("\"'")
            index = seen.get(table, -1) + 1 if header[1] == "[[" else 0
            seen[table] = index
            places[table, index, ""] = line
        elif key := _KEY.match(text, start, _line_end(text, start)):
            first, _, rest = key[1].partition(".")
            name = first.strip().strip("\"'")
            places.setdefault((table, index, name), line)
            if rest and not table:  # ingest.size = ... is the key `size` of the table `ingest`
                places.setdefault((name, 0, rest.strip()), line)
        start = _statement_end(text, start)
    return places


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _statement_end(text: str, start: int) -> int:
    """Where the next statement begins: after the first line end outside brackets and quotes."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        elif token[0] == "\n" and depth <= 0:
            return token.end()
    return len(text)
