-- What LLM calls cost, summed up by the hour for whom a budget may be set: the sums that the hot plane may forget.
--
-- A row is written by the very statement that records the effects (record_effects), so the sums are those of the journal: never
-- behind it, and not ahead of it. `shard` keeps writers apart: sessions that sum into the same row would wait for each
-- other's commits. It is the session's process number modulo 16, so a day of a tenant is at most 384 rows.
--
-- kind    tenant  name
-- tenant  TENANT  ''                     summed always, so that a budget that is set later finds what was spent before
-- agent   ''      AGENT                  likewise, over all tenants
-- user, conversation  TENANT  NAME       while a budget holds for them
-- task    ''      UUID                   likewise, with all that its children spent

CREATE TABLE spending (
    kind     text        NOT NULL,
    tenant   text        NOT NULL,
    name     text        NOT NULL,
    hour     timestamptz NOT NULL,
    shard    smallint    NOT NULL,
    nano_usd bigint      NOT NULL,                        -- a billionth of a dollar: a sum of whole numbers is exact
    tokens   bigint      NOT NULL,
    calls    bigint      NOT NULL,
    unpriced bigint      NOT NULL,                        -- of the calls; their cost is not in nano_usd
    PRIMARY KEY (kind, tenant, name, hour, shard)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX spending_age ON spending (hour);
