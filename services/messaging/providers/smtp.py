"""The SMTP adapter: one mail a message, a connection each.

SMTP knows no keys, so this adapter is blind: what broke off while the mail was handed over may have
been sent. What failed before that was not.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.providers.port import Letter

TIMEOUT_S = 30.0
CONCURRENCY = 8
SMTP_PORT, SMTPS_PORT = 25, 465
DEFAULT_FROM = "coterie@localhost"

_PERMANENT = 500


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes, and as whom: what the URL says."""

    host: str
    port: int
    use_tls: bool
    start_tls: bool | None
    username: str | None
    password: str | None
    sender: str


def parse_url(url: str) -> MailServer:
    """Return what a `smtp:` or `smtps:` URL says.

    >>> server = parse_url("smtp://mail.example.com?from=shop@example.com")
    >>> server.host, server.port, server.sender
    ('mail.example.com', 25, 'shop@example.com')
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    use_tls = parts.scheme == "smtps"
    asked = query.get("starttls", [""])[0]
    return MailServer(
        host=parts.hostname or "localhost",
        port=parts.port or (SMTPS_PORT if use_tls else SMTP_PORT),
        use_tls=use_tls,
        start_tls={"required": True, "never": False}.get(asked),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        sender=query.get("from", [DEFAULT_FROM])[0],
    )


class SmtpProvider:
    """Hands mail to one server."""

    idempotent = False
    concurrency = CONCURRENCY

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._server = parse_url(url)
        self._timeout_s = timeout_s

    async def send(self, letter: Letter) -> Answer:
        """Hand the mail over; an answer 4xx is busy, 5xx a refusal."""
        try:
            mail = mail_of(letter, self._server.sender)
        except (MessageError, ValueError, LookupError) as error:
            return Answer(Outcome.REFUSED, f"no mail can be made of it ({type(error).__name__})")
        client = self._client()
        try:
            # Also a greeting or a login that is refused: that is between the server and us.
            await client.connect()
        except (SMTPException, OSError, ValueError) as error:
            return Answer(Outcome.UNREACHABLE, type(error).__name__)
        try:
            return await self._hand_over(client, letter.address, mail)
        finally:
            client.close()

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _hand_over(self, client: SMTP, address: str, mail: bytes) -> Answer:
        lost = Outcome.UNREACHABLE
        try:
            await client.mail(_addr_spec(self._server.sender))
            await client.rcpt(address)
            lost = Outcome.NO_ANSWER
            response = await client.data(mail)
        except SMTPResponseException as error:
            outcome = Outcome.REFUSED if error.code >= _PERMANENT else Outcome.BUSY
            return Answer(outcome, str(error.code))
        except ValueError as error:
            return Answer(Outcome.REFUSED, type(error).__name__)
        except (SMTPException, OSError) as error:
            return Answer(lost, type(error).__name__)
        with suppress(SMTPException, OSError):
            await client.quit()
        return Answer(Outcome.ACCEPTED, str(response.code))

    def _client(self) -> SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            username=server.username,
            password=server.password,
            timeout=self._timeout_s,
        )


def mail_of(letter: Letter, sender: str) -> bytes:
    """Return the mail; raises ValueError where the address or a header cannot be one."""
    mail = EmailMessage(SMTP_POLICY)
    domain = _addr_spec(sender).rpartition("@")[2] or "localhost"
    mail["From"] = sender
    mail["To"] = str(Address(addr_spec=letter.address))
    mail["Subject"] = letter.subject
    # Always the same for one message, so that a mailbox that gets it twice can tell.
    mail["Date"] = formatdate(letter.decide_ms // 1000)
    mail["Message-ID"] = f"<{letter.message_id}@{domain}>"
    mail.set_content(letter.text)
    if letter.html:
        mail.add_alternative(letter.html, subtype="html")
    return mail.as_bytes()


def _addr_spec(sender: str) -> str:
    """Return the address in `Name <address>` or in an address alone."""
    return sender.rpartition("<")[2].rstrip("> ")
