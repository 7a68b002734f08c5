"""Send e-mails with links: by SMTP if configured, otherwise to the log of a development machine."""

import asyncio
import smtplib
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger()

TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Mail:
    to: str
    subject: str
    text: str
    link: str
    """The link to follow, or the code if the e-mail has no link."""


class Mailer(Protocol):
    @property
    def can_send(self) -> bool: ...

    async def send(self, mail: Mail) -> None: ...


class LogMailer:
    """For installations without a mail server. A link grants access, so only a development machine may log it."""

    def __init__(self, *, development: bool) -> None:
        self.can_send = self._development = development

    async def send(self, mail: Mail) -> None:
        if self._development:
            log.warning("identity.mail_link", link=mail.link)
        else:
            log.error("identity.mail_not_configured", remedy="set SMTP_HOST")


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    host: str
    port: int = 587
    username: str | None = None
    password: str | None = None
    sender: str = "keepsake@localhost"
    security: Literal["starttls", "tls", "none"] = "starttls"


class SmtpMailer:
    can_send = True

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    async def send(self, mail: Mail) -> None:
        await asyncio.to_thread(self._send, mail)

    def _send(self, mail: Mail) -> None:
        with self._connect() as server:
            if self._settings.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self._settings.username is not None:
                server.login(self._settings.username, self._settings.password or "")
            server.send_message(_message(mail, self._settings.sender))

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(settings.host, settings.port, timeout=TIMEOUT_SECONDS, context=context)
        return smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_SECONDS)


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, mail.to, mail.subject
    message.set_content(mail.text)
    return message


class Outbox:
    """Sends e-mails in the background, so that the response time does not reveal whether an account exists."""

    def __init__(self, mailer: Mailer, limit: int = 200) -> None:
        self._mailer = mailer
        self._limit = limit
        self._sending: set[asyncio.Task[None]] = set()

    def is_ready(self) -> bool:
        """Where no e-mail can be sent, no token is issued: nobody could receive it, and it could only be guessed."""
        if not self._mailer.can_send:
            log.error("identity.mail_not_configured", remedy="set SMTP_HOST")
        return self._mailer.can_send

    def put(self, mail: Mail) -> None:
        if len(self._sending) >= self._limit:
            log.error("identity.mail_dropped", waiting=len(self._sending))
            return
        self._start(self._send(mail))

    def prepare(self, work: Coroutine[None, None, None]) -> None:
        """Starts work that may end with an e-mail, such as looking up the account and issuing a token."""
        if len(self._sending) >= self._limit:
            work.close()
            log.error("identity.mail_dropped", waiting=len(self._sending))
        else:
            self._start(_log_failure(work))

    async def drain(self) -> None:
        """Wait until every e-mail has been sent or has failed."""
        while self._sending:
            await asyncio.wait(self._sending)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, mail: Mail) -> None:
        try:
            await self._mailer.send(mail)
        except (OSError, smtplib.SMTPException) as error:
            log.error("identity.mail_failed", error=type(error).__name__)


async def _log_failure(work: Coroutine[None, None, None]) -> None:
    """The client has its response already."""
    try:
        await work
    except SQLAlchemyError as error:
        log.error("identity.mail_failed", error=type(error).__name__)
