"""The process that parses and renders: requests in, answers out, a JSON list of them a line.

It holds no secret and reaches nothing: no environment, no files and no sockets from its first
request on. What a template takes too much of ends this process, and no other.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from services.messaging.rendering.liquid_form import OUTPUT_BYTES, environment
from services.messaging.rendering.names import names_used, stray_filter

MEMORY_BYTES = 256 * 1024 * 1024
CPU_SECONDS = 2
STACK_DEPTH = 400
"""Frames of Python: enough for the nesting that is allowed."""

_HEADERS = frozenset({"subject", "title"})
_LIQUID = {True: environment(escaped=True), False: environment(escaped=False)}


class Refused(Exception):
    """A template that cannot be made: why, and in which line."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


class Branch(dict[str, Any]):
    """Names below a name that has a value itself: it prints as that value."""

    def __init__(self, own: object) -> None:
        super().__init__()
        self._own = own

    def __str__(self) -> str:
        return "" if self._own is None else str(self._own)

    def __liquid__(self) -> object:
        return self._own


class Listed(tuple[str, ...]):
    """Texts of an attribute or property: a list to Liquid, which prints as people write one.

    >>> str(Listed(["sale", "shoes"]))
    'sale, shoes'
    """

    __slots__ = ()

    def __str__(self) -> str:
        return ", ".join(self)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return names with dots as names within names.

    >>> nested({"loyalty.tier": "gold", "age": 7})
    {'age': 7, 'loyalty': {'tier': 'gold'}}
    """
    root: dict[str, Any] = {}
    for name in sorted(values):
        *above, last = name.split(".")
        place = root
        for part in above:
            below = place.get(part)
            if not isinstance(below, dict):
                below = {} if below is None else Branch(below)
                place[part] = below
            place = below
        value = values[name]
        place[last] = Listed(value) if isinstance(value, list) else value
    return root


def number(text: str) -> int | float | Decimal:
    """Return a number that prints as people write it.

    >>> [str(number(each)) for each in ("215.0", "29.5", "0.00001")]
    ['215', '29.5', '0.00001']
    """
    value = float(text)
    if value.is_integer():
        return int(value)
    return Decimal(f"{value:f}").normalize() if "e" in repr(value) else value


@lru_cache(maxsize=256)
def parsed(source: str, *, escaped: bool) -> BoundTemplate:
    """Return the parsed template; raises Refused."""
    try:
        return _LIQUID[escaped].from_string(source)
    except LiquidError as error:
        raise Refused(_why(error), _line(error, source)) from None


def render(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rendered parts by name."""
    data = request["data"]
    data = {**data, "profile": nested(data["profile"]), "trigger": nested(data["trigger"])}
    return {name: _rendered(name, source, data) for name, source in request["parts"].items()}


def check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that each part uses, as pairs of a path and a line."""
    return {name: _names(source) for name, source in request["parts"].items()}


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to one request; what fails names the part and the line."""
    part = next(iter(request["parts"]), "")
    done: dict[str, Any] = {}
    work = check if request["task"] == "check" else render
    try:
        for part, source in request["parts"].items():
            done.update(work({**request, "parts": {part: source}}))
    except Refused as refused:
        return {"part": part, "error": refused.why, "line": refused.line}
    except RecursionError:
        return {"part": part, "error": "it nests too deeply", "line": 1}
    except MemoryError:
        return {"part": part, "error": "it takes too much memory", "line": 1}
    return {"done": done}


def main() -> None:
    """Answer until the input ends."""
    _confine()
    while line := sys.stdin.readline():
        requests = json.loads(line, parse_float=number)
        replies = []
        for request in requests:
            _start_counting()
            replies.append(answer(request))
        sys.stdout.write(json.dumps(replies) + "\n")
        sys.stdout.flush()


def _names(source: str) -> list[tuple[tuple[str | int | None, ...], int]]:
    template = parsed(source, escaped=False)
    stray = stray_filter(template, source, _LIQUID[False].filters)
    if stray is not None:
        name, line = stray
        raise Refused(f"unknown filter '{name}'", line)
    return [(each.path, each.line) for each in names_used(template, source)]


def _rendered(name: str, source: str, data: Mapping[str, Any]) -> str:
    template = parsed(source, escaped=name == "html")
    try:
        text = str(template.render(**data))
    except LiquidError as error:
        raise Refused(_why(error), _line(error, source)) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A filter was given what it cannot work with; its own words might repeat a value.
        why = f"a filter cannot work with what it was given ({type(error).__name__})"
        raise Refused(why, 1) from None
    if len(text.encode(errors="replace")) > OUTPUT_BYTES:
        raise Refused(f"it says more than {OUTPUT_BYTES} bytes", 1)
    if name in _HEADERS:
        text = text.strip()
        if any(ord(each) < ord(" ") or each in "\x7f\x85\u2028\u2029" for each in text):
            raise Refused("expected one line, found a line break or a control character", 1)
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _why(error: LiquidError) -> str:
    return " ".join(str(error.message or type(error).__name__).split())[:300]


def _line(error: LiquidError, source: str) -> int:
    token = error.token
    if token is None or token.start_index < 0:
        return source.count("\n") + 1
    return source.count("\n", 0, token.start_index) + 1


def _confine() -> None:
    sys.setrecursionlimit(STACK_DEPTH)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    # No descriptor can be opened beyond the three that are open: neither a file nor a socket.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def _start_counting() -> None:
    """Let this request take so much of the processor, and then be the last one.

    The signal is left as it is: it ends the process also in the midst of one long filter.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
