-- The last verdict about each role that STS was asked for without its external ID, and with a wrong one.
CREATE TABLE role_verdicts (
    role TEXT COLLATE "C" NOT NULL,
    -- The SHA-256 of the ARN, a zero byte and the external ID, in 64 hexadecimal digits.
    external_id_hash TEXT COLLATE "C" NOT NULL,
    -- The STS that answered: the region, and behind a space the endpoint if the tenant's file names one.
    sts TEXT COLLATE "C" NOT NULL,
    -- 'closed', 'open without external ID' or 'open with wrong external ID'.
    verdict TEXT NOT NULL,
    -- Seconds since 1970.
    probed_at BIGINT NOT NULL,
    PRIMARY KEY (role, external_id_hash, sts)
);
