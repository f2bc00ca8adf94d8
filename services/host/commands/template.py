"""`coterie template`: publish what messages say, and look at it."""

from __future__ import annotations

from pathlib import Path

import click

from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.messaging.v1 import template_pb2
from coterie.messaging.v1.messaging_service_pb2_grpc import MessagingServiceStub
from services.host import report
from services.host.commands.audience import LATEST, config_option
from services.host.commands.message import address_option
from services.host.commands.remote import TIMEOUT_S, channel, parse_who, published_from
from services.host.definitions.document import DocumentError, read_file
from services.host.definitions.template_file import read_template

HEAD = ["template", "version", "name"]


@click.group()
def template() -> None:
    """Publish what messages say, and look at it."""


@template.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@config_option
@address_option
def publish(files: tuple[Path, ...], config: Path | None, address: str | None) -> None:
    """Publish templates from YAML FILES, each as a new version; stop at one that is refused."""
    try:
        read = [read_template(file.name, read_file(file)) for file in files]
    except DocumentError as error:
        raise click.ClickException(str(error)) from None
    with channel("messaging", config, address) as opened:
        stub = MessagingServiceStub(opened)
        for file, found in zip(files, read, strict=True):
            request = pb.PublishTemplateRequest(
                template_id=found.template_id, template=found.template
            )
            with published_from(file):
                live = stub.PublishTemplate(request, timeout=TIMEOUT_S).template
            click.echo(f"{found.template_id}: version {live.version} is live")


@template.command("list")
@config_option
@address_option
def list_all(config: Path | None, address: str | None) -> None:
    """List the templates."""
    with channel("messaging", config, address) as opened:
        request = pb.ListTemplatesRequest(page_size=1000)
        found = MessagingServiceStub(opened).ListTemplates(request, timeout=TIMEOUT_S).templates
    rows = [[_id(each), str(each.version), each.display_name] for each in found]
    click.echo(report.table(HEAD, rows))


@template.command()
@click.argument("template_id")
@click.argument("who")
@config_option
@address_option
def render(template_id: str, who: str, config: Path | None, address: str | None) -> None:
    """Show a template as an e-mail to WHO (NAMESPACE:VALUE or a profile id), and send nothing."""
    request = pb.RenderTemplateRequest(
        name=f"templates/{template_id}", who=parse_who(who), consistency=LATEST
    )
    with channel("messaging", config, address) as opened:
        content = MessagingServiceStub(opened).RenderTemplate(request, timeout=TIMEOUT_S).content
    if content.subject:
        click.echo(f"Subject: {content.subject}\n")
    click.echo(content.text)


def _id(found: template_pb2.Template) -> str:
    return found.name.partition("/")[2]
