-- Times that were set on directories. One row a directory. `parent` is its key up to and including the `/` before its name,
-- `name` the rest without a slash; both are compared as bytes. Times are in seconds since 1970.
CREATE TABLE directory_times (
    bucket TEXT COLLATE "C" NOT NULL,
    parent TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    accessed BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    -- When the row was written.
    set_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, parent, name)
);
