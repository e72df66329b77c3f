-- Times and modes that were set on an object after its metadata was sent. One row an object, of the version that was
-- written last. `directory` is the key up to and including its last `/`, `name` the rest; both are compared as bytes.
CREATE TABLE late_attributes (
    bucket TEXT NOT NULL,
    directory TEXT NOT NULL,
    name TEXT NOT NULL,
    etag TEXT NOT NULL,
    accessed INTEGER,
    modified INTEGER,
    mode INTEGER,
    -- When the row was written, in seconds since 1970.
    set_at INTEGER NOT NULL,
    PRIMARY KEY (bucket, directory, name)
) STRICT, WITHOUT ROWID;
