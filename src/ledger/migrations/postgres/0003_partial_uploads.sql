-- Uploads in parts that can go on, and those that are given up but may still be open in S3. `mount` is the prefix of the
-- mount, `name` the file's name below it, `object` the metadata that the object gets, as JSON. Of a file's uploads the one
-- with the highest `turn` is the newest. Times are in seconds since 1970.
CREATE TABLE partial_uploads (
    turn BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    bucket TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    mount TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    upload_id TEXT COLLATE "C" NOT NULL,
    object TEXT NOT NULL,
    -- The first so many parts, what they hold, and a checksum of their ETags: they are as the client sent them.
    parts BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    etags BIGINT NOT NULL,
    -- Nobody but `holder` works on it before `held_until`.
    holder TEXT COLLATE "C" NOT NULL,
    held_until BIGINT NOT NULL,
    -- It is found until then. 0: it is given up.
    keep_until BIGINT NOT NULL
);
CREATE INDEX partial_uploads_of_a_file ON partial_uploads (bucket, tenant, user_name, mount, name, turn);
CREATE INDEX partial_uploads_by_their_end ON partial_uploads (keep_until);
CREATE INDEX partial_uploads_by_upload ON partial_uploads (upload_id);
