"""Reads a JSON file of unknown origin."""

import json
from pathlib import Path
from typing import Any

from maskel.errors import BadFileError


def parse_json(content: bytes, path: Path | str) -> Any:
    """What a JSON file holds.

    Args:
        content: The whole file, UTF-8.
        path: Where it came from, for messages.

    Raises:
        BadFileError: If it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and not error.doc[: error.pos].rstrip(" \t").rpartition("\n")[2]:
            expected = "one JSON value; put the lines into one list: [ line, line, ... ]"
            raise BadFileError(path, "not text", "a value on each line (JSON Lines)", expected) from error
        kind = "truncated" if error.pos >= len(error.doc.rstrip()) else "not text"
        raise BadFileError(path, kind, error.msg, "JSON", line=error.lineno) from error
    except (ValueError, RecursionError) as error:  # another encoding, a number of thousands of digits, deep nesting
        raise BadFileError(path, "not text", str(error), "JSON") from error
