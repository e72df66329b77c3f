-- As in PostgreSQL, so that the tables are the same everywhere. A file of SQLite is one node's, which needs no locks in it.
CREATE TABLE locks (
    bucket TEXT NOT NULL,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    is_open INTEGER NOT NULL CHECK (is_open BETWEEN 0 AND 1),
    PRIMARY KEY (bucket, name)
) STRICT, WITHOUT ROWID;
