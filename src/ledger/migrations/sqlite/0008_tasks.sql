-- Tasks that outlive their session: uploads in parts, and renames. `mount` is the prefix of the mount,
-- `subject` a name below it. Of a subject's tasks the one with the highest `turn` is the newest. Times are in seconds since
-- 1970.
CREATE TABLE tasks (
    turn INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    -- `upload`, `directory_rename` or `file_rename`. A server skips the rows of kinds that it doesn't know.
    kind TEXT NOT NULL,
    bucket TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_name TEXT NOT NULL,
    mount TEXT NOT NULL,
    -- The file of an upload, the old name of a file or directory.
    subject TEXT NOT NULL,
    -- S3's id of an upload, the new name of a file or directory below the mount.
    reference TEXT NOT NULL,
    -- As in `partial_uploads`.
    permissions TEXT,
    -- JSON with the rest of the task and its progress.
    payload TEXT NOT NULL,
    -- No other server works on it before `held_until`.
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    -- A session finds it until then. 0: it is abandoned.
    keep_until INTEGER NOT NULL
) STRICT;
CREATE INDEX tasks_of_a_subject ON tasks (kind, bucket, tenant, user_name, mount, subject, turn);
CREATE INDEX tasks_by_their_end ON tasks (kind, keep_until);
CREATE INDEX tasks_by_reference ON tasks (reference);

-- The rows of the tables that `tasks` replaces. The payload is put together as text, so that a row that no server can read
-- doesn't stop the upgrade: it stays unreadable.
INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
    held_until, keep_until)
SELECT id, 'upload', bucket, tenant, user_name, mount, name, upload_id, permissions,
    '{"metadata":' || object || ',"parts":' || parts || ',"bytes":' || bytes || ',"etags":' || etags || '}',
    holder, held_until, keep_until
FROM partial_uploads ORDER BY turn;
-- A name outside the mount becomes the empty name, which no server reads.
INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
    held_until, keep_until)
SELECT id, 'directory_rename', bucket, tenant, user_name, mount,
    CASE WHEN substr(source, 1, length(mount)) = mount
        THEN substr(source, length(mount) + 1, max(length(source) - length(mount) - 1, 0)) ELSE '' END,
    CASE WHEN substr(target, 1, length(mount)) = mount
        THEN substr(target, length(mount) + 1, max(length(target) - length(mount) - 1, 0)) ELSE '' END,
    permissions, '{"phase":"' || CASE phase WHEN 0 THEN 'entered' WHEN 1 THEN 'copying' ELSE 'deleting' END || '"}',
    holder, held_until, 0
FROM tree_renames;

-- A server of the version before works on the former tables. These triggers copy each change to the other table, so that
-- servers of both versions find each other's tasks. A copy isn't copied back: it changes nothing, and a trigger doesn't fire
-- itself again, as SQLite has it by default. A payload that isn't of this version isn't copied. The next version drops the
-- former tables, and the triggers with them.
CREATE TRIGGER partial_uploads_inserted AFTER INSERT ON partial_uploads BEGIN
    INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
        held_until, keep_until)
    SELECT NEW.id, 'upload', NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount, NEW.name, NEW.upload_id, NEW.permissions,
        '{"metadata":' || NEW.object || ',"parts":' || NEW.parts || ',"bytes":' || NEW.bytes
            || ',"etags":' || NEW.etags || '}',
        NEW.holder, NEW.held_until, NEW.keep_until
    WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id);
END;
CREATE TRIGGER partial_uploads_updated AFTER UPDATE ON partial_uploads BEGIN
    UPDATE tasks SET
        payload = '{"metadata":' || NEW.object || ',"parts":' || NEW.parts || ',"bytes":' || NEW.bytes
            || ',"etags":' || NEW.etags || '}',
        holder = NEW.holder, held_until = NEW.held_until, keep_until = NEW.keep_until
    WHERE id = NEW.id AND CASE WHEN json_valid(payload) THEN
        (holder, held_until, keep_until, json_extract(payload, '$.parts'), json_extract(payload, '$.bytes'),
            json_extract(payload, '$.etags'))
        IS NOT (NEW.holder, NEW.held_until, NEW.keep_until, NEW.parts, NEW.bytes, NEW.etags) ELSE 1 END;
END;
CREATE TRIGGER partial_uploads_deleted AFTER DELETE ON partial_uploads BEGIN
    DELETE FROM tasks WHERE id = OLD.id;
END;
CREATE TRIGGER tree_renames_inserted AFTER INSERT ON tree_renames BEGIN
    INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
        held_until, keep_until)
    SELECT NEW.id, 'directory_rename', NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount,
        CASE WHEN substr(NEW.source, 1, length(NEW.mount)) = NEW.mount
            THEN substr(NEW.source, length(NEW.mount) + 1, max(length(NEW.source) - length(NEW.mount) - 1, 0))
            ELSE '' END,
        CASE WHEN substr(NEW.target, 1, length(NEW.mount)) = NEW.mount
            THEN substr(NEW.target, length(NEW.mount) + 1, max(length(NEW.target) - length(NEW.mount) - 1, 0))
            ELSE '' END,
        NEW.permissions,
        '{"phase":"' || CASE NEW.phase WHEN 0 THEN 'entered' WHEN 1 THEN 'copying' ELSE 'deleting' END || '"}',
        NEW.holder, NEW.held_until, 0
    WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id);
END;
CREATE TRIGGER tree_renames_updated AFTER UPDATE ON tree_renames BEGIN
    UPDATE tasks SET
        payload = '{"phase":"' || CASE NEW.phase WHEN 0 THEN 'entered' WHEN 1 THEN 'copying' ELSE 'deleting' END || '"}',
        holder = NEW.holder, held_until = NEW.held_until
    WHERE id = NEW.id AND CASE WHEN json_valid(payload) THEN
        (holder, held_until, json_extract(payload, '$.phase')) IS NOT (NEW.holder, NEW.held_until,
            CASE NEW.phase WHEN 0 THEN 'entered' WHEN 1 THEN 'copying' ELSE 'deleting' END) ELSE 1 END;
END;
CREATE TRIGGER tree_renames_deleted AFTER DELETE ON tree_renames BEGIN
    DELETE FROM tasks WHERE id = OLD.id;
END;
CREATE TRIGGER upload_tasks_inserted AFTER INSERT ON tasks
WHEN NEW.kind = 'upload' AND CASE WHEN json_valid(NEW.payload)
    THEN json_extract(NEW.payload, '$.parts') IS NOT NULL ELSE 0 END BEGIN
    INSERT INTO partial_uploads (id, bucket, tenant, user_name, mount, name, upload_id, object, parts, bytes, etags,
        holder, held_until, keep_until, permissions)
    SELECT NEW.id, NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount, NEW.subject, NEW.reference,
        json_extract(NEW.payload, '$.metadata'), json_extract(NEW.payload, '$.parts'),
        json_extract(NEW.payload, '$.bytes'), json_extract(NEW.payload, '$.etags'),
        NEW.holder, NEW.held_until, NEW.keep_until, NEW.permissions
    WHERE NOT EXISTS (SELECT 1 FROM partial_uploads WHERE id = NEW.id);
END;
CREATE TRIGGER upload_tasks_updated AFTER UPDATE ON tasks
WHEN NEW.kind = 'upload' AND CASE WHEN json_valid(NEW.payload)
    THEN json_extract(NEW.payload, '$.parts') IS NOT NULL ELSE 0 END BEGIN
    UPDATE partial_uploads SET
        parts = json_extract(NEW.payload, '$.parts'), bytes = json_extract(NEW.payload, '$.bytes'),
        etags = json_extract(NEW.payload, '$.etags'),
        holder = NEW.holder, held_until = NEW.held_until, keep_until = NEW.keep_until
    WHERE id = NEW.id;
END;
CREATE TRIGGER upload_tasks_deleted AFTER DELETE ON tasks
WHEN OLD.kind = 'upload' BEGIN
    DELETE FROM partial_uploads WHERE id = OLD.id;
END;
CREATE TRIGGER directory_rename_tasks_inserted AFTER INSERT ON tasks
WHEN NEW.kind = 'directory_rename' AND CASE WHEN json_valid(NEW.payload)
    THEN json_extract(NEW.payload, '$.phase') IN ('entered', 'copying', 'deleting') ELSE 0 END BEGIN
    INSERT INTO tree_renames (id, bucket, tenant, user_name, mount, source, target, phase, holder, held_until,
        permissions)
    SELECT NEW.id, NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount, NEW.mount || NEW.subject || '/',
        NEW.mount || NEW.reference || '/',
        CASE json_extract(NEW.payload, '$.phase') WHEN 'entered' THEN 0 WHEN 'copying' THEN 1 ELSE 2 END,
        NEW.holder, NEW.held_until, NEW.permissions
    WHERE NOT EXISTS (SELECT 1 FROM tree_renames WHERE id = NEW.id);
END;
CREATE TRIGGER directory_rename_tasks_updated AFTER UPDATE ON tasks
WHEN NEW.kind = 'directory_rename' AND CASE WHEN json_valid(NEW.payload)
    THEN json_extract(NEW.payload, '$.phase') IN ('entered', 'copying', 'deleting') ELSE 0 END BEGIN
    UPDATE tree_renames SET
        phase = CASE json_extract(NEW.payload, '$.phase')
            WHEN 'entered' THEN 0 WHEN 'copying' THEN 1 ELSE 2 END,
        holder = NEW.holder, held_until = NEW.held_until
    WHERE id = NEW.id;
END;
CREATE TRIGGER directory_rename_tasks_deleted AFTER DELETE ON tasks
WHEN OLD.kind = 'directory_rename' BEGIN
    DELETE FROM tree_renames WHERE id = OLD.id;
END;
