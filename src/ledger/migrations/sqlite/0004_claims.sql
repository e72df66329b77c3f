-- As in PostgreSQL, so that the tables are the same everywhere. A file of SQLite is one node's, which needs no claims in it.
CREATE TABLE claims (
    bucket TEXT NOT NULL,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    PRIMARY KEY (bucket, name)
) STRICT, WITHOUT ROWID;
