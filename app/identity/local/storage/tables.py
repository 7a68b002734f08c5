"""The columns of GoTrue's tables that we write. The others keep the defaults of shim.sql."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, MetaData, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ENUM, INET, JSONB

auth = MetaData(schema="auth")
moment = DateTime(timezone=True)

users = Table(
    "users",
    auth,
    Column("instance_id", Uuid),
    Column("id", Uuid, primary_key=True),
    Column("aud", Text),
    Column("role", Text),
    Column("email", Text),
    Column("encrypted_password", Text),
    Column("email_confirmed_at", moment),
    Column("invited_at", moment),
    Column("confirmation_token", Text),
    Column("confirmation_sent_at", moment),
    Column("recovery_token", Text),
    Column("recovery_sent_at", moment),
    Column("email_change_token_new", Text),
    Column("email_change", Text),
    Column("email_change_sent_at", moment),
    Column("last_sign_in_at", moment),
    Column("raw_app_meta_data", JSONB),
    Column("raw_user_meta_data", JSONB),
    Column("created_at", moment),
    Column("updated_at", moment),
    Column("phone", Text),
    Column("confirmed_at", moment),
    Column("email_change_token_current", Text),
    Column("email_change_confirm_status", SmallInteger),
    Column("banned_until", moment),
    Column("reauthentication_token", Text),
    Column("reauthentication_sent_at", moment),
    Column("is_sso_user", Boolean),
    Column("deleted_at", moment),
    Column("is_anonymous", Boolean),
)

identities = Table(
    "identities",
    auth,
    Column("provider_id", Text),
    Column("user_id", Uuid),
    Column("identity_data", JSONB),
    Column("provider", Text),
    Column("last_sign_in_at", moment),
    Column("created_at", moment),
    Column("updated_at", moment),
    Column("id", Uuid, primary_key=True),
)

sessions = Table(
    "sessions",
    auth,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("created_at", moment),
    Column("updated_at", moment),
    Column("factor_id", Uuid),
    Column("aal", ENUM("aal1", "aal2", "aal3", name="aal_level", schema="auth", create_type=False)),
    Column("not_after", moment),
    Column("refreshed_at", DateTime),
    Column("user_agent", Text),
    Column("ip", INET),
)

refresh_tokens = Table(
    "refresh_tokens",
    auth,
    Column("instance_id", Uuid),
    Column("id", BigInteger, primary_key=True),
    Column("token", Text),
    Column("user_id", Text),
    Column("revoked", Boolean),
    Column("created_at", moment),
    Column("updated_at", moment),
    Column("parent", Text),
    Column("session_id", Uuid),
)

amr_claims = Table(
    "mfa_amr_claims",
    auth,
    Column("id", Uuid, primary_key=True),
    Column("session_id", Uuid),
    Column("authentication_method", Text),
    Column("created_at", moment),
    Column("updated_at", moment),
)

factors = Table(
    "mfa_factors",
    auth,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("friendly_name", Text),
    Column("factor_type", ENUM("totp", "webauthn", "phone", name="factor_type", schema="auth", create_type=False)),
    Column("status", ENUM("unverified", "verified", name="factor_status", schema="auth", create_type=False)),
    Column("created_at", moment),
    Column("updated_at", moment),
    Column("secret", Text),
    Column("last_challenged_at", moment),
)

factor_challenges = Table(
    "mfa_challenges",
    auth,
    Column("id", Uuid, primary_key=True),
    Column("factor_id", Uuid),
    Column("created_at", moment),
    Column("verified_at", moment),
    Column("ip_address", INET),
)

flow_states = Table(
    "flow_state",
    auth,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("auth_code", Text),
    Column(
        "code_challenge_method", ENUM("s256", "plain", name="code_challenge_method", schema="auth", create_type=False)
    ),
    Column("code_challenge", Text),
    Column("provider_type", Text),
    Column("authentication_method", Text),
    Column("created_at", moment),
    Column("updated_at", moment),
    Column("auth_code_issued_at", moment),
)

one_time_tokens = Table(
    "one_time_tokens",
    auth,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column(
        "token_type",
        ENUM(
            "confirmation_token",
            "reauthentication_token",
            "recovery_token",
            "email_change_token_new",
            "email_change_token_current",
            "phone_change_token",
            name="one_time_token_type",
            schema="auth",
            create_type=False,
        ),
    ),
    Column("token_hash", Text),
    Column("relates_to", Text),
    Column("created_at", DateTime),
    Column("updated_at", DateTime),
)
