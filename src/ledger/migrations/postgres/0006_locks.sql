-- Names that a session is creating with EXCL. No session of another node does before `held_until`, in seconds since 1970.
-- `is_open` is 1 from when OPEN was answered. A row goes when the upload ends, or when a session removes the file: its
-- holder takes a row that is gone for that, so the table is logged, and lasts when the database crashes.
CREATE TABLE locks (
    bucket TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    held_until BIGINT NOT NULL,
    is_open BIGINT NOT NULL CHECK (is_open BETWEEN 0 AND 1),
    PRIMARY KEY (bucket, name)
);
