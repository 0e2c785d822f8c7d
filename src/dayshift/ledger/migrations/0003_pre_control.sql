-- What is looked at every second by every process, and what stands behind it.

-- One row of counters. A process that sees one grow reads the table behind it again.
CREATE TABLE versions (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    settings bigint  NOT NULL DEFAULT 0,
    keys     bigint  NOT NULL DEFAULT 0,
    registry bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 40);
INSERT INTO versions DEFAULT VALUES;

-- Append-only: a version is one write, of one path or (a rollback) of several. A NULL value unsets the path.
CREATE TABLE settings_versions (
    version bigint      NOT NULL,
    path    text        NOT NULL,
    value   bytea,
    by_whom text        NOT NULL,
    why     text,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (version, path)
);
CREATE INDEX settings_versions_of_path ON settings_versions (path, version);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER settings_versions_append_only BEFORE UPDATE OR DELETE ON settings_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A key itself is never stored: its hash finds it, its prefix lets a person recognise it.
CREATE TABLE api_keys (
    id           uuid        PRIMARY KEY,
    hash         bytea       NOT NULL UNIQUE,
    prefix       text        NOT NULL,
    tenant       text        NOT NULL,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
) WITH (fillfactor = 70);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant, id);

-- The hot plane as the ledger last knew it.
CREATE TABLE plane_state (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch      bigint      NOT NULL DEFAULT 0,
    run_id     text,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO plane_state DEFAULT VALUES;

-- What is unfinished, counted about once a second. Unlogged: a crash empties it, and the next count fills it again.
CREATE UNLOGGED TABLE depths (
    queue     text    NOT NULL,
    tenant    text    NOT NULL,
    ready     bigint  NOT NULL,
    delayed   bigint  NOT NULL,
    running   bigint  NOT NULL,
    waiting   bigint  NOT NULL,
    oldest_at timestamptz,
    PRIMARY KEY (queue, tenant)
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE depths_measured (
    only_row      boolean          PRIMARY KEY DEFAULT true CHECK (only_row),
    at            timestamptz      NOT NULL,
    again_seconds double precision NOT NULL              -- after `at`: when the next count is due
) WITH (fillfactor = 40);
