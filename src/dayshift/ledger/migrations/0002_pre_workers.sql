-- Workers and what they register.

-- A worker's lease. A beat changes no indexed column, so with room on the page it stays a HOT update.
CREATE TABLE workers (
    id               uuid        PRIMARY KEY,
    pid              integer     NOT NULL,
    host             text        NOT NULL,
    version          text,
    agents           text[]      NOT NULL,
    slots            integer     NOT NULL,
    running          integer     NOT NULL DEFAULT 0,
    draining         boolean     NOT NULL DEFAULT false,
    loop_lag_seconds double precision NOT NULL DEFAULT 0,
    registered_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at      timestamptz,                        -- final: a released id never starts a task again
    release_reason   text,
    released_alive   boolean     NOT NULL DEFAULT false, -- its process outlived the lease: no task of it is to blame
    CONSTRAINT a_release_has_a_reason CHECK ((released_at IS NULL) = (release_reason IS NULL))
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.1);

CREATE TABLE agents (
    name          text        NOT NULL,
    version       text        NOT NULL,
    queue         text        NOT NULL,
    input_schema  bytea       NOT NULL,
    output_schema bytea       NOT NULL,
    options       bytea       NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version)
);
