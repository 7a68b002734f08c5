"""Links in e-mails, and the URLs that they may lead to."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

from app.identity.local.mail.mailer import Mail
from app.identity.local.settings import IdentitySettings
from app.identity.local.storage.one_time_tokens import OneTimeToken


def choose_redirect(settings: IdentitySettings, requested: str | None) -> str:
    """The requested URL if it belongs to the site or is allowed. Otherwise the site, silently as in GoTrue."""
    target = _split(requested or "")
    site = _split(settings.site_url)
    if requested is None or target is None or site is None:
        return settings.site_url
    if (target.scheme, target.netloc) == (site.scheme, site.netloc):
        return requested
    allowed = any(requested == url or _matches(target, _split(url)) for url in settings.redirect_urls)
    return requested if allowed else settings.site_url


def _matches(target: SplitResult, pattern: SplitResult | None) -> bool:
    """Compare host and path separately, so that a wildcard for the path cannot extend the host name."""
    if pattern is None or "*" not in f"{pattern.netloc}{pattern.path}":
        return False
    host, path = pattern.netloc, pattern.path
    if host.endswith("*"):
        host, path = host.rstrip("*"), "*"
    same_host = target.scheme == pattern.scheme and fnmatchcase(target.netloc, host)
    return same_host and fnmatchcase(target.path or "/", path)


def _split(url: str) -> SplitResult | None:
    """None if a browser may see another host than we do: browsers read a backslash as a slash and skip blanks."""
    if any(character == "\\" or not character.isprintable() or character.isspace() for character in url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def with_query(url: str, **values: str) -> str:
    """The URL with more parameters in its query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(values))))))


def action_link(settings: IdentitySettings, link_token: str, kind: str, redirect_to: str) -> str:
    query = urlencode({"token": link_token, "type": kind, "redirect_to": redirect_to})
    return f"{settings.issuer}/verify?{query}"


@dataclass(frozen=True, slots=True)
class MailText:
    subject: str
    introduction: str


MAIL_TEXTS = {
    "signup": MailText("Confirm your address", "Follow this link to confirm your address:"),
    "recovery": MailText("Reset your password", "Follow this link to sign in and choose a new password:"),
    "invite": MailText("You are invited", "Follow this link to accept the invitation and sign in:"),
    "magiclink": MailText("Sign in", "Follow this link to sign in:"),
    "email_change": MailText("Confirm your new address", "Follow this link to confirm the change of your address:"),
}


def link_mail(settings: IdentitySettings, to: str, kind: str, token: OneTimeToken, redirect_to: str) -> Mail:
    link = action_link(settings, token.link_token, kind, redirect_to)
    minutes = settings.one_time_token_seconds // 60
    text = (
        f"{MAIL_TEXTS[kind].introduction}\n\n{link}\n\nOr enter this code: {token.code}\n\n"
        f"It expires in {minutes} minutes and can be used once. If you did not request it, ignore this e-mail.\n"
    )
    return Mail(to, MAIL_TEXTS[kind].subject, text, link)


def code_mail(to: str, token: OneTimeToken) -> Mail:
    text = f"Enter this code to confirm your identity: {token.code}\n"
    return Mail(to, "Confirm your identity", text, token.code)
