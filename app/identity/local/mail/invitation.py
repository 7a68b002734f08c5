"""The e-mail with an invitation. It contains no text of the sender, because it would reach strangers."""

from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from app.identity.local.mail.mailer import Mail

TEXT = """You are invited to a project or an organization on {base_url}. Follow this link to answer:

{link}

Or sign in with this e-mail address and call the API:

POST {base_url}/v1/invitations/{invitation_id}/accept   with {{"token": "{token}"}}
POST {base_url}/v1/invitations/{invitation_id}/decline  to decline

GET {base_url}/v1/invitations/received shows who invited you. The invitation expires in seven days.
If you do not want to join, ignore this e-mail.
"""


@dataclass(frozen=True, slots=True)
class InvitationLinks:
    site_url: str
    base_url: str

    def mail(self, to: str, invitation_id: UUID, token: str) -> Mail:
        """The token is in the URL fragment, which browsers never send to a server."""
        link = f"{self.site_url}#{urlencode({'invitation': str(invitation_id), 'invitation_token': token})}"
        text = TEXT.format(base_url=self.base_url, link=link, invitation_id=invitation_id, token=token)
        return Mail(to, "You are invited", text, link)
