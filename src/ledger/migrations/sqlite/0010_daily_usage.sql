-- The amounts that tenants used per UTC day, for their daily limits. One row for each day, tenant and process of a server:
-- its sums so far. `day` counts from 1970-01-01.
CREATE TABLE daily_usage (
    day INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    -- A random name, another one for each start of a server.
    process TEXT NOT NULL,
    bytes_written INTEGER NOT NULL,
    zero_bytes INTEGER NOT NULL,
    bytes_copied INTEGER NOT NULL,
    s3_requests INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, process)
) STRICT, WITHOUT ROWID;
