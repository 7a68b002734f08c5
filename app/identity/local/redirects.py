"""Where links lead: only to places the operator named."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urlencode, urlsplit

from app.identity.local.mail import Mail
from app.identity.local.one_time import OneTimeToken
from app.identity.local.settings import IdentitySettings


def choose_redirect(settings: IdentitySettings, wanted: str | None) -> str:
    """What was asked for if it is ours or on the list; otherwise the site, as GoTrue does without a word."""
    target = _split(wanted or "")
    site = _split(settings.site_url)
    if wanted is None or target is None or site is None:
        return settings.site_url
    if (target.scheme, target.netloc) == (site.scheme, site.netloc):
        return wanted
    allowed = any(wanted == url or _matches(target, _split(url)) for url in settings.redirect_urls)
    return wanted if allowed else settings.site_url


def _matches(target: SplitResult, pattern: SplitResult | None) -> bool:
    """Part by part, so that a star for the rest of the address can never lengthen the host into another one."""
    if pattern is None or "*" not in f"{pattern.netloc}{pattern.path}":
        return False
    host, path = pattern.netloc, pattern.path
    if host.endswith("*"):
        host, path = host.rstrip("*"), "*"
    same_host = target.scheme == pattern.scheme and fnmatchcase(target.netloc, host)
    return same_host and fnmatchcase(target.path or "/", path)


def _split(url: str) -> SplitResult | None:
    """None where browsers might read another host than we do: they take a backslash for a slash and skip blanks."""
    if any(character == "\\" or not character.isprintable() or character.isspace() for character in url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def action_link(settings: IdentitySettings, token_hash: str, kind: str, redirect_to: str) -> str:
    query = urlencode({"token": token_hash, "type": kind, "redirect_to": redirect_to})
    return f"{settings.issuer}/verify?{query}"


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    opening: str


LETTERS = {
    "signup": Letter("Confirm your address", "Follow this link to confirm your address:"),
    "recovery": Letter("Reset your password", "Follow this link to sign in and choose a new password:"),
    "email_change": Letter("Confirm your new address", "Follow this link to confirm the change of your address:"),
}


def link_mail(settings: IdentitySettings, to: str, kind: str, token: OneTimeToken, redirect_to: str) -> Mail:
    link = action_link(settings, token.token_hash, kind, redirect_to)
    minutes = settings.one_time_token_seconds // 60
    text = (
        f"{LETTERS[kind].opening}\n\n{link}\n\nOr enter this code: {token.code}\n\n"
        f"It is good for {minutes} minutes and can be used once. If you did not ask for it, ignore this mail.\n"
    )
    return Mail(to, LETTERS[kind].subject, text, link)


def code_mail(to: str, token: OneTimeToken) -> Mail:
    text = f"Enter this code to confirm that it is you: {token.code}\n"
    return Mail(to, "Confirm that it is you", text, token.code)
