-- No session looks for the rename of a file, and only uploads are found by S3's id. So these rows need fewer indexes,
-- and each rename of a file writes less.
DROP INDEX tasks_of_a_subject;
CREATE INDEX tasks_of_a_subject ON tasks (kind, bucket, tenant, user_name, mount, subject, turn)
    WHERE kind <> 'file_rename';
DROP INDEX tasks_by_reference;
CREATE INDEX tasks_by_reference ON tasks (reference) WHERE kind = 'upload';
