-- The views that reports read: see docs/reporting.md. They stay as they are while the tables below them change: another
-- version of a view is another view. Times are texts of one length, `2026-12-03T09:30:00.000Z`, whose order is that of
-- the times. They have no index: a report reads all rows of a table, and the writer has less to do.

CREATE VIEW transfers_v1 AS
SELECT
    id AS transfer_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', (at_ms - duration_ms) / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS ended_at,
    tenant,
    user_name,
    session,
    node,
    source_ip,
    source_port,
    vpc_endpoint,
    direction,
    path,
    bucket,
    object_key,
    etag,
    version_id,
    checksum_crc64nvme,
    request_id,
    size_bytes,
    bytes AS transferred_bytes,
    duration_ms,
    result,
    error
FROM transfers;

CREATE VIEW logins_v1 AS
SELECT
    id AS login_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS login_at,
    session AS connection,
    tenant,
    user_name,
    node,
    source_ip,
    source_port,
    vpc_endpoint,
    result,
    method,
    reason,
    key_fingerprint,
    client AS client_version,
    algorithms
FROM logins;

-- The id of a session is its connection's, '-' and a number; the login has the id of the connection.
CREATE VIEW sessions_v1 AS
SELECT
    started.session,
    substr(started.session, 1, instr(started.session || '-', '-') - 1) AS connection,
    strftime('%Y-%m-%dT%H:%M:%fZ', started.at_ms / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', ended.at_ms / 1000.0, 'unixepoch') AS ended_at,
    started.tenant,
    started.user_name,
    started.node,
    started.source_ip,
    started.source_port,
    started.vpc_endpoint,
    login.client AS client_version,
    login.algorithms,
    login.method,
    login.key_fingerprint,
    ended.duration_ms,
    ended.received_bytes,
    ended.sent_bytes,
    ended.reason
FROM sessions AS started
LEFT JOIN sessions AS ended ON ended.session = started.session AND ended.event = 'ended'
LEFT JOIN logins AS login
    ON login.session = substr(started.session, 1, instr(started.session || '-', '-') - 1) AND login.result = 'accepted'
WHERE started.event = 'started';

-- Days are counted from 1970-01-01. The bytes of an upload that a killed server published are those of the file.
CREATE VIEW usage_daily_v1 AS
SELECT
    strftime('%Y-%m-%d', day_number * 86400, 'unixepoch') AS day,
    tenant,
    user_name,
    SUM(files_in) AS files_in,
    SUM(bytes_in) AS bytes_in,
    SUM(files_out) AS files_out,
    SUM(bytes_out) AS bytes_out,
    SUM(failed_transfers) AS failed_transfers,
    SUM(abandoned_transfers) AS abandoned_transfers,
    SUM(logins) AS logins
FROM (
    SELECT
        at_ms / 86400000 AS day_number,
        tenant,
        user_name,
        COUNT(*) FILTER (WHERE direction = 'upload' AND result = 'done') AS files_in,
        COALESCE(SUM(COALESCE(bytes, size_bytes)) FILTER (WHERE direction = 'upload' AND result = 'done'), 0)
            AS bytes_in,
        COUNT(*) FILTER (WHERE direction = 'download' AND result = 'done') AS files_out,
        COALESCE(SUM(COALESCE(bytes, size_bytes)) FILTER (WHERE direction = 'download' AND result = 'done'), 0)
            AS bytes_out,
        COUNT(*) FILTER (WHERE result IN ('failed', 'refused')) AS failed_transfers,
        COUNT(*) FILTER (WHERE result = 'abandoned') AS abandoned_transfers,
        0 AS logins
    FROM transfers
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT at_ms / 86400000, tenant, user_name, 0, 0, 0, 0, 0, 0, COUNT(*)
    FROM logins
    WHERE result = 'accepted'
    GROUP BY 1, 2, 3
) AS amounts
GROUP BY day_number, tenant, user_name;
