-- Times that were set on directories. One row a directory. `parent` is its key up to and including the `/` before its name,
-- `name` the rest without a slash; both are compared as bytes. Times are in seconds since 1970.
CREATE TABLE directory_times (
    bucket TEXT NOT NULL,
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    accessed INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    -- When the row was written.
    set_at INTEGER NOT NULL,
    PRIMARY KEY (bucket, parent, name)
) STRICT, WITHOUT ROWID;
