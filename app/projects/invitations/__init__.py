"""Invitations: how people become members of projects and organizations."""

from app.projects.invitations.repository import InvitationRepository, InvitationTarget, normalize_email
from app.projects.invitations.routes import invitations, send_invitation
from app.projects.invitations.schemas import InvitationCreated

__all__ = [
    "InvitationCreated",
    "InvitationRepository",
    "InvitationTarget",
    "invitations",
    "normalize_email",
    "send_invitation",
]
