-- Names that an operation is renaming or removing. Nobody but `holder` does before `held_until`, in seconds since 1970. A
-- row goes when its operation ends. Not logged: a claim is worth no write to disk, and after a crash of the database S3's
-- conditional deletion decides until the operations under way have ended.
CREATE UNLOGGED TABLE claims (
    bucket TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    held_until BIGINT NOT NULL,
    PRIMARY KEY (bucket, name)
);
