-- Renames of directories that are under way, or were cut off. `mount` is the prefix of the mount, `source` and `target`
-- are whole prefixes below it. Phases: 0 nothing done, 1 copying, 2 deleting. Nobody but `holder` works on it before
-- `held_until`, in seconds since 1970.
CREATE TABLE tree_renames (
    id TEXT NOT NULL PRIMARY KEY,
    bucket TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_name TEXT NOT NULL,
    mount TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 2),
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL
) STRICT;
