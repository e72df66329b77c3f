-- Tasks that outlive their session: uploads in parts, and renames. `mount` is the prefix of the mount,
-- `subject` a name below it. Of a subject's tasks the one with the highest `turn` is the newest. Times are in seconds since
-- 1970.
CREATE TABLE tasks (
    turn BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    -- `upload`, `directory_rename` or `file_rename`. A server skips the rows of kinds that it doesn't know.
    kind TEXT COLLATE "C" NOT NULL,
    bucket TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    mount TEXT COLLATE "C" NOT NULL,
    -- The file of an upload, the old name of a file or directory.
    subject TEXT COLLATE "C" NOT NULL,
    -- S3's id of an upload, the new name of a file or directory below the mount.
    reference TEXT COLLATE "C" NOT NULL,
    -- As in `partial_uploads`.
    permissions TEXT,
    -- JSON with the rest of the task and its progress.
    payload TEXT NOT NULL,
    -- No other server works on it before `held_until`.
    holder TEXT COLLATE "C" NOT NULL,
    held_until BIGINT NOT NULL,
    -- A session finds it until then. 0: it is abandoned.
    keep_until BIGINT NOT NULL
);
CREATE INDEX tasks_of_a_subject ON tasks (kind, bucket, tenant, user_name, mount, subject, turn);
CREATE INDEX tasks_by_their_end ON tasks (kind, keep_until);
CREATE INDEX tasks_by_reference ON tasks (reference);

-- Two servers that enter renames of directories at once take turns. It is the lock of the version before.
CREATE FUNCTION enter_directory_renames_in_turn() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE tree_renames IN SHARE ROW EXCLUSIVE MODE;
END $$;

-- The payloads of the rows of the tables that `tasks` replaces. They are put together as text, so that a row that no
-- server can read doesn't stop anything: it stays unreadable.
CREATE FUNCTION upload_payload(former partial_uploads) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '{"metadata":' || former.object || ',"parts":' || former.parts || ',"bytes":' || former.bytes
        || ',"etags":' || former.etags || '}'
$$;
CREATE FUNCTION directory_rename_payload(former tree_renames) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '{"phase":"' || CASE former.phase WHEN 0 THEN 'entered' WHEN 1 THEN 'copying' ELSE 'deleting' END || '"}'
$$;
-- The name below the mount of a whole prefix. A name outside the mount becomes the empty name, which no server reads.
CREATE FUNCTION name_below(mount text, prefix text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN left(prefix, length(mount)) = mount
        THEN left(substr(prefix, length(mount) + 1), -1) ELSE '' END
$$;
-- NULL for a text that is no JSON.
CREATE FUNCTION json_of(payload text) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN payload::json;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN NULL;
END $$;

-- A server of the version before works on the former tables. Triggers copy each change to the other table, so that servers
-- of both versions find each other's tasks; a copy is not copied back. If servers of both versions change one task at the
-- same moment, PostgreSQL may end one of the statements to break a deadlock. The next version drops the former tables, and
-- the triggers with them.
CREATE FUNCTION copy_partial_upload() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
            held_until, keep_until)
        VALUES (NEW.id, 'upload', NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount, NEW.name, NEW.upload_id,
            NEW.permissions, upload_payload(NEW), NEW.holder, NEW.held_until, NEW.keep_until)
        ON CONFLICT (id) DO NOTHING;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE tasks SET payload = upload_payload(NEW), holder = NEW.holder, held_until = NEW.held_until,
            keep_until = NEW.keep_until WHERE id = NEW.id;
    ELSE
        DELETE FROM tasks WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION copy_tree_rename() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
            held_until, keep_until)
        VALUES (NEW.id, 'directory_rename', NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount,
            name_below(NEW.mount, NEW.source), name_below(NEW.mount, NEW.target), NEW.permissions,
            directory_rename_payload(NEW), NEW.holder, NEW.held_until, 0)
        ON CONFLICT (id) DO NOTHING;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE tasks SET payload = directory_rename_payload(NEW), holder = NEW.holder, held_until = NEW.held_until
        WHERE id = NEW.id;
    ELSE
        DELETE FROM tasks WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION copy_upload_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    payload json;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM partial_uploads WHERE id = OLD.id;
        RETURN NULL;
    END IF;
    payload := json_of(NEW.payload);
    IF TG_OP = 'INSERT' AND payload ->> 'parts' IS NOT NULL THEN
        INSERT INTO partial_uploads (id, bucket, tenant, user_name, mount, name, upload_id, object, parts, bytes, etags,
            holder, held_until, keep_until, permissions)
        VALUES (NEW.id, NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount, NEW.subject, NEW.reference,
            (payload -> 'metadata')::text, (payload ->> 'parts')::bigint, (payload ->> 'bytes')::bigint,
            (payload ->> 'etags')::bigint, NEW.holder, NEW.held_until, NEW.keep_until, NEW.permissions)
        ON CONFLICT (id) DO NOTHING;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE partial_uploads SET parts = coalesce((payload ->> 'parts')::bigint, parts),
            bytes = coalesce((payload ->> 'bytes')::bigint, bytes),
            etags = coalesce((payload ->> 'etags')::bigint, etags),
            holder = NEW.holder, held_until = NEW.held_until, keep_until = NEW.keep_until
        WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION copy_directory_rename_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    former_phase bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM tree_renames WHERE id = OLD.id;
        RETURN NULL;
    END IF;
    former_phase := CASE json_of(NEW.payload) ->> 'phase'
        WHEN 'entered' THEN 0 WHEN 'copying' THEN 1 WHEN 'deleting' THEN 2 END;
    IF TG_OP = 'INSERT' AND former_phase IS NOT NULL THEN
        INSERT INTO tree_renames (id, bucket, tenant, user_name, mount, source, target, phase, holder, held_until,
            permissions)
        VALUES (NEW.id, NEW.bucket, NEW.tenant, NEW.user_name, NEW.mount, NEW.mount || NEW.subject || '/',
            NEW.mount || NEW.reference || '/', former_phase, NEW.holder, NEW.held_until, NEW.permissions)
        ON CONFLICT (id) DO NOTHING;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE tree_renames SET phase = coalesce(former_phase, phase), holder = NEW.holder, held_until = NEW.held_until
        WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

-- No server writes to the former tables between the copy of their rows and the triggers.
LOCK TABLE partial_uploads, tree_renames IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
    held_until, keep_until)
SELECT id, 'upload', bucket, tenant, user_name, mount, name, upload_id, permissions, upload_payload(former), holder,
    held_until, keep_until
FROM partial_uploads AS former ORDER BY turn;
INSERT INTO tasks (id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, holder,
    held_until, keep_until)
SELECT id, 'directory_rename', bucket, tenant, user_name, mount, name_below(mount, source), name_below(mount, target),
    permissions, directory_rename_payload(former), holder, held_until, 0
FROM tree_renames AS former;

CREATE TRIGGER partial_uploads_copied AFTER INSERT OR UPDATE OR DELETE ON partial_uploads
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION copy_partial_upload();
CREATE TRIGGER tree_renames_copied AFTER INSERT OR UPDATE OR DELETE ON tree_renames
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION copy_tree_rename();
CREATE TRIGGER upload_tasks_copied AFTER INSERT OR UPDATE ON tasks
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND NEW.kind = 'upload') EXECUTE FUNCTION copy_upload_task();
CREATE TRIGGER upload_tasks_deleted AFTER DELETE ON tasks
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND OLD.kind = 'upload') EXECUTE FUNCTION copy_upload_task();
CREATE TRIGGER directory_rename_tasks_copied AFTER INSERT OR UPDATE ON tasks
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND NEW.kind = 'directory_rename')
    EXECUTE FUNCTION copy_directory_rename_task();
CREATE TRIGGER directory_rename_tasks_deleted AFTER DELETE ON tasks
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND OLD.kind = 'directory_rename')
    EXECUTE FUNCTION copy_directory_rename_task();
