-- In the transaction that ends a task or parks it: a delivery for its own address, one for each that its
-- A2A client named, and one for each endpoint of its tenant that
-- listens. Deliveries tell of others, so nobody is told of them; what an agent calls itself is its own business.
told AS (
    INSERT INTO tasks (id, tenant, agent, queue, input, priority, run_at, metadata, trace_id, about)
    SELECT new_uuid7(), w.tenant, 'dayshift.webhook', 'system',
        delivery_input(l.endpoint, l.push, w.status, w.attempt, w.failures, w.losses, w.run_at, w.started_at, w.finished_at, w.version,
            w.error_code, w.error_message, w.error_retryable, w.waiting_for, w.notice, w.usage, w.timing),
        5, date_trunc('milliseconds', statement_timestamp()), '{}', w.trace_id, w.id
    FROM written w
    CROSS JOIN LATERAL (
        SELECT NULL::uuid AS endpoint, NULL::text AS push WHERE w.webhook_url IS NOT NULL
        UNION ALL
        SELECT NULL, jsonb_object_keys(w.a2a -> 'push')
        UNION ALL
        SELECT e.id, NULL FROM webhook_endpoints e
        WHERE e.tenant = w.tenant AND e.disabled_at IS NULL AND 'task.' || w.status = ANY (e.event_types)
    ) l
    WHERE w.status IN ('succeeded', 'failed', 'cancelled', 'waiting') AND w.about IS NULL AND w.parent_id IS NULL
    RETURNING id, seq, about
)
