"""User profiles: a structured summary of what is remembered about one user."""

from app.memory.user_profiles.generate import INSUFFICIENT
from app.memory.user_profiles.jobs import RequestedProfiles
from app.memory.user_profiles.profile_schema import Shape, check_schema, read_settings
from app.memory.user_profiles.repository import UserProfileJob, UserProfileJobRepository
from app.memory.user_profiles.request import (
    UserProfileState,
    read_user_profile,
    request_sample,
    request_user_profile,
)

__all__ = [
    "INSUFFICIENT",
    "RequestedProfiles",
    "Shape",
    "UserProfileJob",
    "UserProfileJobRepository",
    "UserProfileState",
    "check_schema",
    "read_settings",
    "read_user_profile",
    "request_sample",
    "request_user_profile",
]
