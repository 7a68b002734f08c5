import asyncio

from structlog.testing import capture_logs

from app.identity.local.mail.mailer import LogMailer, Mail, Outbox, SmtpMailer, SmtpSettings

MAIL = Mail("a@example.com", "Subject", "Text", "http://app.test/link")


async def test_log_mailer_logs_links_in_development_only() -> None:
    with capture_logs() as logs:
        await LogMailer(development=True).send(MAIL)
        await LogMailer(development=False).send(MAIL)
    assert [log["event"] for log in logs] == ["identity.mail_link", "identity.mail_not_configured"]
    assert logs[0]["link"] == MAIL.link
    assert MAIL.link not in str(logs[1])


async def test_unreachable_mail_server_is_logged_without_content() -> None:
    outbox = Outbox(SmtpMailer(SmtpSettings("127.0.0.1", 1, security="none")))
    with capture_logs() as logs:
        outbox.put(MAIL)
        await outbox.drain()
    assert [log["event"] for log in logs] == ["identity.mail_failed"]
    assert MAIL.to not in str(logs)


async def test_smtp_mailer_sends_an_email() -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            received.append(line)
            verb = line[:4].upper()
            writer.write({b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))
            if verb == b"DATA":
                received.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 taken\r\n")
            if verb == b"QUIT":
                break
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await SmtpMailer(SmtpSettings("127.0.0.1", port, security="none")).send(MAIL)
    server.close()
    sent = b"".join(received).lower()
    assert b"rcpt to:<a@example.com>" in sent
    assert b"subject: subject" in sent
