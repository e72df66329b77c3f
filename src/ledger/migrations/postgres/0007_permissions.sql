-- The permissions that the owner had in the mount when the row was inserted: words with a space between, such as
-- `read write`. With them a node can finish or abort the work of a user that is in no config. NULL: a server of an earlier
-- version inserted the row.
ALTER TABLE tree_renames ADD COLUMN permissions TEXT;
ALTER TABLE partial_uploads ADD COLUMN permissions TEXT;
