"""A mail server on loopback that keeps what GoTrue sends."""

import asyncio
import email
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.utils import parseaddr
from urllib.parse import parse_qs, urlsplit

LINK = re.compile(r"https?://[^\s\"'<>]+token=[^\s\"'<>]+")
ANSWERS = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


@dataclass
class ReceivedMails:
    port: int = 0
    mails: list[Message] = field(default_factory=list)

    def token_hash(self, recipient: str | None = None) -> str:
        """The token of the last link, or of the last one that this address received."""
        last = [mail for mail in self.mails if recipient is None or parseaddr(str(mail["To"]))[1] == recipient][-1]
        contents = [part.get_payload(decode=True) for part in last.walk() if not part.is_multipart()]
        text = "\n".join(content.decode() for content in contents if isinstance(content, bytes))
        link = str(LINK.findall(text)[-1]).replace("&amp;", "&")
        return parse_qs(urlsplit(link).query)["token"][0]

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            writer.write(ANSWERS.get(verb, b"250 ok\r\n"))
            if verb == b"DATA":
                await writer.drain()
                content = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(email.message_from_bytes(content))
                writer.write(b"250 ok\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
        writer.close()


@asynccontextmanager
async def open_mail_server() -> AsyncIterator[ReceivedMails]:
    received = ReceivedMails()
    server = await asyncio.start_server(received.receive, "127.0.0.1", 0)
    received.port = server.sockets[0].getsockname()[1]
    async with server:
        yield received
