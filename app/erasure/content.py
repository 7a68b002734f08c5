"""Every column of every table that can hold text, and who decides when it is deleted.

A migration that adds a column without a line here fails `tests/erasure/test_content.py`. Besides the tables, content
is in the vector index (numbers that are derived from it), in short-term memory (the windows of sessions, also in Redis)
and in backups and exports, which are files of the operator and of the client.
"""

Columns = dict[str, tuple[str, ...]]

USER_CONTENT: Columns = {
    # What users and applications said or named. An erasure removes these rows: see `stores.py`.
    "public.memories": (
        *("user_id", "agent_id", "app_id", "run_id", "content", "context", "metadata", "categories", "hash"),
        *("tenant_id", "conversation_id"),
    ),
    "public.memory_history": (
        *("user_id", "agent_id", "app_id", "run_id", "old_memory", "new_memory", "input", "metadata"),
    ),
    "public.events": ("user_id", "messages", "request", "results", "note", "error"),
    "public.feedback": ("user_id", "reason"),
    "public.entities": ("user_id", "entity_id", "display_name", "metadata"),
    "public.memory_exports": ("user_id", "request", "result", "error"),
    "public.data_exports": ("user_id",),
    "public.data_export_chunks": ("user_id", "content"),
    "public.portraits": ("user_id", "content", "note"),
    "public.portrait_jobs": ("user_id", "idempotency_key"),
    "public.profiles": ("user_id", "name", "description", "persona", "metadata"),
    "public.sessions": ("user_id", "title", "summary"),
    "public.messages": ("user_id", "content", "metadata"),
    "public.turns": ("user_id", "idempotency_key", "fingerprint", "recalled"),
    "public.api_keys": ("name",),
    # Emptied when the erasure is finished.
    "public.erasures": ("subject", "scope"),
}
DERIVED_FROM_CONTENT: Columns = {
    # Numbers from which no text can be read, removed with their memory.
    "public.memory_vectors": ("embedding", "words"),
    "public.memory_words": ("words",),
}
ACCOUNT_DATA: Columns = {
    # Of the person who signs in. Deleted with the account.
    "auth.users": (
        *("email", "encrypted_password", "confirmation_token", "recovery_token", "email_change_token_new"),
        *("email_change", "raw_app_meta_data", "raw_user_meta_data", "phone", "phone_change", "phone_change_token"),
        *("email_change_token_current", "reauthentication_token"),
    ),
    "auth.identities": ("provider_id", "identity_data", "email"),
    "auth.sessions": ("user_agent", "ip", "tag", "refresh_token_hmac_key", "scopes"),
    "auth.refresh_tokens": ("token", "user_id", "parent"),
    "auth.one_time_tokens": ("token_hash", "relates_to"),
    "auth.flow_state": ("auth_code", "code_challenge"),
    # The built-in provider writes nothing here.
    "auth.audit_log_entries": ("payload", "ip_address"),
    "auth.mfa_factors": ("friendly_name", "secret", "phone", "web_authn_credential", "last_webauthn_challenge_data"),
    "auth.mfa_challenges": ("ip_address", "otp_code", "web_authn_session_data"),
    "public.invitations": ("email", "token_hash"),
    "private.sign_in_networks": ("network_hash",),
    # An account that asked for an erasure itself.
    "public.erasures": ("requested_by",),
}
PROJECT_DATA: Columns = {
    # What an owner says about the project itself. Deleted with the project.
    "public.organizations": ("name",),
    "public.projects": ("name", "description", "settings"),
    "public.webhooks": ("name", "url"),
    # While it exists, nothing of the user is erased. Its owner lifts it, which deletes the row.
    "public.legal_holds": ("user_id", "reason"),
}
NO_CONTENT: Columns = {
    # Ids, states and other words of the server's own, counts and keyed hashes.
    "public.memories": ("namespace", "kind", "role", "state", "source", "door"),
    "public.memory_history": ("event", "kind", "actor"),
    "public.events": ("namespace", "event_type", "status"),
    "public.feedback": ("feedback",),
    "public.entities": ("type",),
    "public.memory_exports": ("status",),
    "public.data_exports": ("state", "digest", "counts", "error"),
    "public.portrait_jobs": ("operation",),
    "public.sessions": ("privacy_mode",),
    "public.messages": ("role", "privacy_mode"),
    "public.api_keys": (
        *("prefix", "secret_hash", "previous_hash", "scopes", "client_id", "redirect_uri"),
        *("code_hash", "code_challenge", "refresh_hash", "previous_refresh_hash"),
    ),
    "public.webhooks": ("event_types",),
    "public.webhook_deliveries": ("event_type", "status", "error", "details"),
    "public.retention_runs": ("cause", "state", "policy", "counts", "error"),
    "public.erasures": ("kind", "subject_hash", "state", "found", "removed", "remaining"),
    "public.invitations": ("role", "status"),
    # Ids of accounts and keys, and names of fields.
    "public.audit_log": ("actor", "action", "details"),
    "public.maintenance": ("name", "state"),
    # Encrypted keys, and a hash that names the key of the operator.
    "public.content_keys": ("master_key", "wrapped"),
    "public.memory_vectors": ("namespace",),
    "public.memory_vector_generations": ("name", "embedder", "following_embedder"),
    "public.project_embedders": ("chosen", "serving", "phase"),
    "public.memory_words": ("namespace",),
    "public.vector_collections": ("store", "collection", "state", "embedder"),
    "public.organization_members": ("role", "joined"),
    "public.project_members": ("role", "joined"),
    "auth.users": ("aud", "role"),
    "auth.identities": ("provider",),
    "auth.mfa_amr_claims": ("authentication_method",),
    "auth.flow_state": ("provider_type", "authentication_method"),
    # The arguments and locks of jobs are ids.
    "jobs.procrastinate_jobs": ("queue_name", "task_name", "lock", "queueing_lock", "args"),
    "jobs.procrastinate_periodic_defers": ("task_name", "periodic_id"),
    "jobs.applied": ("name",),
    "supabase_migrations.schema_migrations": ("version", "statements", "name"),
}
CLASSES = (USER_CONTENT, DERIVED_FROM_CONTENT, ACCOUNT_DATA, PROJECT_DATA, NO_CONTENT)
