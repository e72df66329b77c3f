-- Times and modes that were set on an object after its metadata was sent. One row an object, of the version that was
-- written last. `directory` is the key up to and including its last `/`, `name` the rest; both are compared as bytes.
CREATE TABLE late_attributes (
    bucket TEXT COLLATE "C" NOT NULL,
    directory TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    etag TEXT NOT NULL,
    accessed BIGINT,
    modified BIGINT,
    mode BIGINT,
    -- When the row was written, in seconds since 1970.
    set_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, directory, name)
);
