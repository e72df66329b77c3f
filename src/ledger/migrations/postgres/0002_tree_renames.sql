-- Renames of directories that are under way, or were cut off. `mount` is the prefix of the mount, `source` and `target`
-- are whole prefixes below it. Phases: 0 nothing done, 1 copying, 2 deleting. Nobody but `holder` works on it before
-- `held_until`, in seconds since 1970.
CREATE TABLE tree_renames (
    id TEXT COLLATE "C" PRIMARY KEY,
    bucket TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    mount TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    phase BIGINT NOT NULL CHECK (phase BETWEEN 0 AND 2),
    holder TEXT COLLATE "C" NOT NULL,
    held_until BIGINT NOT NULL
);
