-- The records of events: one row for each, with a unique id (a UUIDv7), so that a row that is written twice counts once.
-- `at_ms` is the time in milliseconds since 1970, UTC. `process` and `number` are the place of the row in the spool of the
-- node: the name of the server's process, and a number that counts the rows of a table from 1.

-- Logins that the server accepted ('accepted') or refused ('refused'). The user of a refused login is the name that the
-- client sent.
CREATE TABLE logins (
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    number BIGINT NOT NULL,
    tenant TEXT,
    user_name TEXT,
    session TEXT,
    source_ip TEXT,
    source_port BIGINT,
    vpc_endpoint TEXT,
    result TEXT NOT NULL,
    method TEXT,
    reason TEXT,
    key_fingerprint TEXT,
    client TEXT,
    algorithms TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX logins_by_time ON logins (at_ms);
CREATE INDEX logins_by_session ON logins (session);

-- The beginnings ('started') and ends ('ended') of sessions, and the requests of operators to end one ('end_asked').
CREATE TABLE sessions (
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    number BIGINT NOT NULL,
    tenant TEXT,
    user_name TEXT,
    session TEXT,
    source_ip TEXT,
    source_port BIGINT,
    vpc_endpoint TEXT,
    event TEXT NOT NULL,
    duration_ms BIGINT,
    received_bytes BIGINT,
    sent_bytes BIGINT,
    suppressed BIGINT,
    reason TEXT,
    operator_uid BIGINT,
    PRIMARY KEY (id)
);
CREATE INDEX sessions_by_time ON sessions (at_ms);
CREATE INDEX sessions_by_session ON sessions (session);

-- Ended transfers. The id is the transfer's, so that each has one row.
CREATE TABLE transfers (
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    number BIGINT NOT NULL,
    tenant TEXT,
    user_name TEXT,
    session TEXT,
    source_ip TEXT,
    source_port BIGINT,
    vpc_endpoint TEXT,
    direction TEXT NOT NULL,
    path TEXT NOT NULL,
    bucket TEXT,
    object_key TEXT,
    etag TEXT,
    version_id TEXT,
    checksum_crc64nvme TEXT,
    request_id TEXT,
    size_bytes BIGINT,
    bytes BIGINT,
    duration_ms BIGINT,
    result TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX transfers_by_time ON transfers (at_ms);
CREATE INDEX transfers_by_tenant ON transfers (tenant, at_ms);

-- Changes of the tree: remove, rename, mkdir, rmdir, set attributes, copy.
CREATE TABLE changes (
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    number BIGINT NOT NULL,
    tenant TEXT,
    user_name TEXT,
    session TEXT,
    source_ip TEXT,
    source_port BIGINT,
    vpc_endpoint TEXT,
    change TEXT NOT NULL,
    path TEXT NOT NULL,
    target TEXT,
    duration_ms BIGINT,
    result TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX changes_by_time ON changes (at_ms);

-- Refused connections and services, connections that ended before their time, and requests that were refused or failed.
CREATE TABLE refusals (
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    number BIGINT NOT NULL,
    tenant TEXT,
    user_name TEXT,
    session TEXT,
    source_ip TEXT,
    source_port BIGINT,
    vpc_endpoint TEXT,
    kind TEXT NOT NULL,
    request TEXT,
    subject TEXT,
    result TEXT NOT NULL,
    error TEXT,
    client TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX refusals_by_time ON refusals (at_ms);

-- Reloads, repairs and other work of the server itself. `detail` is the event as JSON.
CREATE TABLE operations (
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    process TEXT NOT NULL,
    number BIGINT NOT NULL,
    tenant TEXT,
    user_name TEXT,
    session TEXT,
    source_ip TEXT,
    source_port BIGINT,
    vpc_endpoint TEXT,
    event TEXT NOT NULL,
    subject TEXT,
    result TEXT,
    error TEXT,
    detail TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX operations_by_time ON operations (at_ms);
