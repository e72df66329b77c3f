-- Uploads in parts that can go on, and those that are given up but may still be open in S3. `mount` is the prefix of the
-- mount, `name` the file's name below it, `object` the metadata that the object gets, as JSON. Of a file's uploads the one
-- with the highest `turn` is the newest. Times are in seconds since 1970.
CREATE TABLE partial_uploads (
    turn INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    bucket TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_name TEXT NOT NULL,
    mount TEXT NOT NULL,
    name TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    object TEXT NOT NULL,
    -- The first so many parts, what they hold, and a checksum of their ETags: they are as the client sent them.
    parts INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    etags INTEGER NOT NULL,
    -- Nobody but `holder` works on it before `held_until`.
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    -- It is found until then. 0: it is given up.
    keep_until INTEGER NOT NULL
) STRICT;
CREATE INDEX partial_uploads_of_a_file ON partial_uploads (bucket, tenant, user_name, mount, name, turn);
CREATE INDEX partial_uploads_by_their_end ON partial_uploads (keep_until);
CREATE INDEX partial_uploads_by_upload ON partial_uploads (upload_id);
