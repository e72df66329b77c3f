CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

CREATE TABLE public.late_attributes (
    bucket text NOT NULL COLLATE pg_catalog."C",
    directory text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    etag text NOT NULL,
    accessed bigint,
    modified bigint,
    mode bigint,
    set_at bigint NOT NULL
);

CREATE TABLE public.partial_uploads (
    turn bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    bucket text NOT NULL COLLATE pg_catalog."C",
    tenant text NOT NULL COLLATE pg_catalog."C",
    user_name text NOT NULL COLLATE pg_catalog."C",
    mount text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    upload_id text NOT NULL COLLATE pg_catalog."C",
    object text NOT NULL,
    parts bigint NOT NULL,
    bytes bigint NOT NULL,
    etags bigint NOT NULL,
    holder text NOT NULL COLLATE pg_catalog."C",
    held_until bigint NOT NULL,
    keep_until bigint NOT NULL
);

ALTER TABLE public.partial_uploads ALTER COLUMN turn ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.partial_uploads_turn_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tree_renames (
    id text NOT NULL COLLATE pg_catalog."C",
    bucket text NOT NULL COLLATE pg_catalog."C",
    tenant text NOT NULL COLLATE pg_catalog."C",
    user_name text NOT NULL COLLATE pg_catalog."C",
    mount text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    phase bigint NOT NULL,
    holder text NOT NULL COLLATE pg_catalog."C",
    held_until bigint NOT NULL,
    CONSTRAINT tree_renames_phase_check CHECK (((phase >= 0) AND (phase <= 2)))
);

INSERT INTO public._sqlx_migrations VALUES (1, 'late attributes', '2026-11-30 16:50:29.101041+00', true, '\xc7258ac7cea43f86b3feea3839b1544b32e3674ef668b2230e736f57b308e5cabf409c1e2cdd412a8eee3d8c0ce695cb', 7425972);
INSERT INTO public._sqlx_migrations VALUES (2, 'tree renames', '2026-11-30 16:50:29.108895+00', true, '\x959bcc77d09af9cc7f4273cb6b9ab73346ad85eee998dc015df236351695b443122723d40608bf589aea9ba9660cc8c4', 2042416);
INSERT INTO public._sqlx_migrations VALUES (3, 'partial uploads', '2026-11-30 16:50:29.111122+00', true, '\x35e430ec7131c30d07bc9ad7d8419cc4f6856f14d3eb3e3b4bf6482d07ed618db54ea0f1613e2411ef965687b7bfd52e', 8464411);

INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/acme/reports/', 'small', '"7d1f01255ed830d48aba713d7a79ae31"', 1000000001, 1000000001, 384, 1796057429);
INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/globex/out/batch/', '01', '"b0cb5bd0d675848943e6623b7d499acd"', NULL, NULL, 416, 1796057431);
INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/globex/out/batch/below/', '09', '"9b608797c3329fe0950d2c71e336024d"', NULL, NULL, 416, 1796057431);
INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/acme/reports/', 'late', '"96cd94c7d563132f8d12153b4d12594a"', 1000000001, 1000000001, 416, 1796057431);
INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/acme/reports/', 'large', '"af5ad653c01d76a15c084d39689f6895-2"', 1000000001, 1000000001, 388, 1796057431);
INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/acme/tree/', '04', '"9e1b03c9cd5a84884c7d5fae51a947a4"', 1000000001, 1000000001, NULL, 1796057431);
INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/globex/out/batch.new/below/', '09', '"9b608797c3329fe0950d2c71e336024d"', NULL, NULL, 416, 1796057437);
INSERT INTO public.late_attributes VALUES ('//127.0.0.1:53817/vendor', 'upgrade-postgresql/globex/out/batch.new/', '01', '"b0cb5bd0d675848943e6623b7d499acd"', NULL, NULL, 416, 1796057437);

INSERT INTO public.partial_uploads OVERRIDING SYSTEM VALUE VALUES (2, '1fcc836ad14a59e6c1f08fe54537c49a', '//127.0.0.1:53817/vendor', 'acme', 'alice', 'upgrade-postgresql/acme/', 'partial', '6633aa4dbd828adc6681906e6adc84aebaf2b018_9fca133de1414a7eacfbccffd71f9a25', '{"mode":"33188","wharfinger-upload":"65aaa938755bcd60f637a49195f701a3"}', 2, 16777216, 2838472756065283836, '1fcc836ad14a59e6c1f08fe54537c49a', 1796057433, 1796662233);
INSERT INTO public.partial_uploads OVERRIDING SYSTEM VALUE VALUES (3, '5f724464ba214feabcd31aa4f5ed5e46', '//127.0.0.1:53817/vendor', 'globex', 'bob', 'upgrade-postgresql/globex/out/', 'stream', 'b09031ce1a30d24179d2277d479c04722dda5985_e646a2b61a564cfabd3f193d04023676', '{"wharfinger-upload":"ebd564678a5a1962448f8556c93f23c2"}', 2, 16777216, -6333629355118628882, '5f724464ba214feabcd31aa4f5ed5e46', 1796057466, 1796662236);

INSERT INTO public.tree_renames VALUES ('a03992a589851d11de1a872b2a9c615e', '//127.0.0.1:53817/vendor', 'acme', 'alice', 'upgrade-postgresql/acme/', 'upgrade-postgresql/acme/tree/', 'upgrade-postgresql/acme/tree.new/', 1, 'a03992a589851d11de1a872b2a9c615e', 1796057496);
INSERT INTO public.tree_renames VALUES ('41d0f0914b478d7c99e885a7e7bf6a3d', '//127.0.0.1:53817/vendor', 'globex', 'bob', 'upgrade-postgresql/globex/out/', 'upgrade-postgresql/globex/out/batch/', 'upgrade-postgresql/globex/out/batch.new/', 2, '41d0f0914b478d7c99e885a7e7bf6a3d', 1796057497);

SELECT pg_catalog.setval('public.partial_uploads_turn_seq', 3, true);

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.late_attributes
    ADD CONSTRAINT late_attributes_pkey PRIMARY KEY (bucket, directory, name);

ALTER TABLE ONLY public.partial_uploads
    ADD CONSTRAINT partial_uploads_id_key UNIQUE (id);

ALTER TABLE ONLY public.partial_uploads
    ADD CONSTRAINT partial_uploads_pkey PRIMARY KEY (turn);

ALTER TABLE ONLY public.tree_renames
    ADD CONSTRAINT tree_renames_pkey PRIMARY KEY (id);

CREATE INDEX partial_uploads_by_their_end ON public.partial_uploads USING btree (keep_until);

CREATE INDEX partial_uploads_by_upload ON public.partial_uploads USING btree (upload_id);

CREATE INDEX partial_uploads_of_a_file ON public.partial_uploads USING btree (bucket, tenant, user_name, mount, name, turn);
