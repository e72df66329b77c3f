BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'late attributes','2026-11-30 16:50:18',1,X'19B022900D9E1E534968D0D4AC727CC54EABA2B67C82CFBED2D7298DF63E91FE094E1D8B7EC70D6473098451D11BE829',346243);
INSERT INTO "_sqlx_migrations" VALUES(2,'tree renames','2026-11-30 16:50:18',1,X'D9BBE50D5C2C0520B6CE0807A6E113BA4D69178815472D7E1AE2BD36EFB70F1A86A7627DEE966841DF83953C2556A811',329488);
INSERT INTO "_sqlx_migrations" VALUES(3,'partial uploads','2026-11-30 16:50:18',1,X'E5E7BC2454BFA65F98247ABE288401740850D86B8CED94DA334CFBB982B2F1F1C2E92D3443A817DDCBFFC3F94597A71B',412792);
CREATE TABLE late_attributes (
    bucket TEXT NOT NULL,
    directory TEXT NOT NULL,
    name TEXT NOT NULL,
    etag TEXT NOT NULL,
    accessed INTEGER,
    modified INTEGER,
    mode INTEGER,
    -- When the row was written, in seconds since 1970.
    set_at INTEGER NOT NULL,
    PRIMARY KEY (bucket, directory, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/acme/reports/','large','"af5ad653c01d76a15c084d39689f6895-2"',1000000001,1000000001,388,1796057421);
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/acme/reports/','late','"96cd94c7d563132f8d12153b4d12594a"',1000000001,1000000001,416,1796057421);
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/acme/reports/','small','"7d1f01255ed830d48aba713d7a79ae31"',1000000001,1000000001,384,1796057418);
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/acme/tree/','04','"9e1b03c9cd5a84884c7d5fae51a947a4"',1000000001,1000000001,NULL,1796057421);
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/globex/out/batch.new/','01','"b0cb5bd0d675848943e6623b7d499acd"',NULL,NULL,416,1796057426);
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/globex/out/batch.new/below/','09','"9b608797c3329fe0950d2c71e336024d"',NULL,NULL,416,1796057426);
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/globex/out/batch/','01','"b0cb5bd0d675848943e6623b7d499acd"',NULL,NULL,416,1796057420);
INSERT INTO "late_attributes" VALUES('//127.0.0.1:54389/vendor','upgrade-sqlite/globex/out/batch/below/','09','"9b608797c3329fe0950d2c71e336024d"',NULL,NULL,416,1796057420);
CREATE TABLE partial_uploads (
    turn INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    bucket TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_name TEXT NOT NULL,
    mount TEXT NOT NULL,
    name TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    object TEXT NOT NULL,
    -- The first so many parts, what they hold, and a checksum of their ETags: they are as the client sent them.
    parts INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    etags INTEGER NOT NULL,
    -- Nobody but `holder` works on it before `held_until`.
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    -- It is found until then. 0: it is given up.
    keep_until INTEGER NOT NULL
) STRICT;
INSERT INTO "partial_uploads" VALUES(1,'223e4c08503f1564a19640d0b33ec566','//127.0.0.1:54389/vendor','acme','alice','upgrade-sqlite/acme/','partial','d54d8e549a38f3951e658f57878b756219e69d61_e8b43fd6a8ae4e13806610003e38d655','{"mode":"33188","wharfinger-upload":"1c14d09792914c77685a1cd19f436e92"}',2,16777216,2838472756065283836,'223e4c08503f1564a19640d0b33ec566',1796057423,1796662223);
INSERT INTO "partial_uploads" VALUES(2,'c8463c1bcb9a2ec237d8887be22bac69','//127.0.0.1:54389/vendor','globex','bob','upgrade-sqlite/globex/out/','stream','98fd59b424c4e4614ce604ab6999af4fa0594476_d20e0d4c58a34173b3277580db097bb6','{"wharfinger-upload":"70271bd766e3897bea1e90b0829406e2"}',2,16777216,-6333629355118628882,'c8463c1bcb9a2ec237d8887be22bac69',1796057456,1796662226);
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
INSERT INTO "tree_renames" VALUES('f676f1edf82fe4bffaa312686d0bc6a9','//127.0.0.1:54389/vendor','globex','bob','upgrade-sqlite/globex/out/','upgrade-sqlite/globex/out/batch/','upgrade-sqlite/globex/out/batch.new/',2,'f676f1edf82fe4bffaa312686d0bc6a9',1796057486);
INSERT INTO "tree_renames" VALUES('2cc28441249390c8a58dd9757ea51d88','//127.0.0.1:54389/vendor','acme','alice','upgrade-sqlite/acme/','upgrade-sqlite/acme/tree/','upgrade-sqlite/acme/tree.new/',1,'2cc28441249390c8a58dd9757ea51d88',1796057486);
CREATE INDEX partial_uploads_of_a_file ON partial_uploads (bucket, tenant, user_name, mount, name, turn);
CREATE INDEX partial_uploads_by_their_end ON partial_uploads (keep_until);
CREATE INDEX partial_uploads_by_upload ON partial_uploads (upload_id);
COMMIT;
