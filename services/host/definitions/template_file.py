"""A template as a YAML file: what a message says, for each channel where they differ."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.messaging.v1 import template_pb2
from services.host.definitions.document import Node, read_document

_KEYS = {
    "template": "what journeys call it",
    "display_name": "a name for people",
    "text": "what it says on every channel that has no text of its own",
    "email": "the subject, the text and the HTML of an e-mail",
    "sms": "the text of a text message",
    "push": "the title and the text of a push notification",
}
_EMAIL = {"subject": "one line", "text": "plain text", "html": "the HTML form"}
_PUSH = {"title": "one line", "text": "the text"}


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """One template to publish."""

    template_id: str
    template: template_pb2.Template


def read_template(file: str, text: str) -> TemplateFile:
    """Return the template of a file's text; raises DocumentError with the line of what is wrong."""
    found = read_document(file, text).fields(_KEYS, ("template", "text"))
    template_id = found["template"].text()
    template = template_pb2.Template(
        display_name=found["display_name"].text() if "display_name" in found else template_id,
        text=found["text"].text(),
    )
    if "sms" in found:
        template.sms_text = found["sms"].text()
    if "email" in found:
        _read_email(found["email"], template.email)
    if "push" in found:
        _read_push(found["push"], template.push)
    return TemplateFile(template_id, template)


def _read_email(node: Node, email: template_pb2.EmailContent) -> None:
    parts = node.fields(_EMAIL)
    email.SetInParent()
    for name, part in parts.items():
        setattr(email, name, part.text())


def _read_push(node: Node, push: template_pb2.PushContent) -> None:
    parts = node.fields(_PUSH)
    push.SetInParent()
    for name, part in parts.items():
        setattr(push, name, part.text())
