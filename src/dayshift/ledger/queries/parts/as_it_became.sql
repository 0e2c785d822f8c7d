-- Of a row that was changed (t): what a webhook tells of it.
RETURNING t.id, t.tenant, t.status, t.webhook_url, t.parent_id, t.about, t.trace_id, t.attempt, t.failures, t.losses, t.run_at,
    t.started_at, t.finished_at, t.version, t.error_code, t.error_message, t.error_retryable, t.waiting_for, t.notice, t.usage,
    t.timing, t.a2a
