"""Turns the content of a message into a Liquid template."""

from __future__ import annotations

import re

from coterie.messaging.v1 import template_pb2
from tests.scenarios.faults import ScenarioError

_NAMES = {
    "first_name": "{{ profile.first_name }}",
    "items": '{{ items | map: "name" | compact | join: ", " }}',
    "images": '{{ items | map: "image_url" | compact | join: " " }}',
    "prices": '{{ items | map: "price" | compact | join: ", " }}',
    "order_id": "{{ trigger.order_id }}",
    "total": "{{ trigger.total }}",
    "eta": "{{ trigger.eta }}",
    "query": "{{ trigger.query }}",
    "coupon": "WELCOME",
}
_PLACEHOLDER = re.compile(r"\{\{\s*(\w*)\s*\}\}")


def template_of(content: str, title: str) -> template_pb2.Template:
    """Return the template; raises ScenarioError for a placeholder that means nothing.

    >>> template_of("Hi {{first_name}}", "hello").text
    'Hi {{ profile.first_name }}'
    """

    def liquid(found: re.Match[str]) -> str:
        if found[1] not in _NAMES:
            raise ScenarioError(f"unknown placeholder {found[0]}; there are {', '.join(_NAMES)}")
        return _NAMES[found[1]]

    return template_pb2.Template(display_name=title, text=_PLACEHOLDER.sub(liquid, content))
