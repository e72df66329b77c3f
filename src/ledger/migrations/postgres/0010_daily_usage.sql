-- The amounts that tenants used per UTC day, for their daily limits. One row for each day, tenant and process of a server:
-- its sums so far. `day` counts from 1970-01-01.
CREATE TABLE daily_usage (
    day BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    -- A random name, another one for each start of a server.
    process TEXT COLLATE "C" NOT NULL,
    bytes_written BIGINT NOT NULL,
    zero_bytes BIGINT NOT NULL,
    bytes_copied BIGINT NOT NULL,
    s3_requests BIGINT NOT NULL,
    PRIMARY KEY (day, tenant, process)
);
