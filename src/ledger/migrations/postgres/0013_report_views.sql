-- The views that reports read: see docs/reporting.md. They stay as they are while the tables below them change: another
-- version of a view is another view. Times are `timestamptz`, made by one expression, which the indexes have too, so that
-- a report about a few days reads those alone.

CREATE INDEX transfers_by_timestamp ON transfers (to_timestamp(at_ms::double precision / 1000));
CREATE INDEX sessions_by_timestamp ON sessions (to_timestamp(at_ms::double precision / 1000));
CREATE INDEX logins_by_timestamp ON logins (to_timestamp(at_ms::double precision / 1000));

CREATE VIEW transfers_v1 AS
SELECT
    id AS transfer_id,
    to_timestamp((at_ms - duration_ms)::double precision / 1000) AS started_at,
    to_timestamp(at_ms::double precision / 1000) AS ended_at,
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
    to_timestamp(at_ms::double precision / 1000) AS login_at,
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
    split_part(started.session, '-', 1) AS connection,
    to_timestamp(started.at_ms::double precision / 1000) AS started_at,
    to_timestamp(ended.at_ms::double precision / 1000) AS ended_at,
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
LEFT JOIN logins AS login ON login.session = split_part(started.session, '-', 1) AND login.result = 'accepted'
WHERE started.event = 'started';

-- Days are counted from 1970-01-01. The bytes of an upload that a killed server published are those of the file.
CREATE VIEW usage_daily_v1 AS
SELECT
    DATE '1970-01-01' + day_number::integer AS day,
    tenant,
    user_name,
    CAST(SUM(files_in) AS BIGINT) AS files_in,
    CAST(SUM(bytes_in) AS BIGINT) AS bytes_in,
    CAST(SUM(files_out) AS BIGINT) AS files_out,
    CAST(SUM(bytes_out) AS BIGINT) AS bytes_out,
    CAST(SUM(failed_transfers) AS BIGINT) AS failed_transfers,
    CAST(SUM(abandoned_transfers) AS BIGINT) AS abandoned_transfers,
    CAST(SUM(logins) AS BIGINT) AS logins
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
