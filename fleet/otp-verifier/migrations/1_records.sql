-- Run as otp_owner, in the database otp.
CREATE SCHEMA otp;
REVOKE ALL ON SCHEMA otp FROM PUBLIC;
GRANT USAGE ON SCHEMA otp TO otp_verifier;

-- One row: which fleet this database belongs to. A verifier without this key does not serve.
CREATE TABLE otp.fleet (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- The id of the key that seals on all verifiers, and what names the key of the authority that hosts trust.
    key bytea NOT NULL CHECK (octet_length(key) = 4),
    authority bytea NOT NULL CHECK (octet_length(authority) = 32)
);

-- One row for each user who has a record.
CREATE TABLE otp.record (
    name text COLLATE "C" PRIMARY KEY,
    -- The number in the sequence of the state. The first one is random: a record that is removed and made again has other ones.
    version bigint NOT NULL CHECK (version > 0),
    -- Credentials, sealed as a whole under a key that no server of this database has.
    sealed bytea NOT NULL,
    -- The text of a slot, and a line with MACs of it and of the last answer.
    state text NOT NULL,
    -- The last question and its answer, which is given again for ten seconds.
    request bytea,
    host text,
    event text,
    answer text,
    answered timestamptz
) WITH (fillfactor = 70);
-- States are rewritten at each login and stay in their row; credentials move out of it when they are large.
ALTER TABLE otp.record ALTER COLUMN state SET STORAGE MAIN;

-- Records that a host has asked for, until it has them. No login reads this table.
CREATE TABLE otp.moving (
    name text COLLATE "C" PRIMARY KEY,
    host text COLLATE "C",
    sealed bytea NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The MACs of states, hosts, scopes and tokens are under a key that no server of this database has: version, key id, HMAC. A row whose MAC does
-- not hold gives no right.
CREATE TABLE otp.host (
    id text COLLATE "C" PRIMARY KEY,
    key_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(key_sha256) = 32),
    status text NOT NULL CHECK (status IN ('active', 'suspended')),
    rights text[] NOT NULL CHECK (rights <@ ARRAY['login', 'enroll', 'import', 'export', 'admin']),
    -- Whom it may ask about; NULL for every user.
    scope text COLLATE "C",
    mac bytea NOT NULL CHECK (octet_length(mac) = 37),
    since timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE otp.scope_user (
    scope text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    mac bytea NOT NULL CHECK (octet_length(mac) = 37),
    PRIMARY KEY (scope, name)
);

CREATE TABLE otp.join_token (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    rights text[] NOT NULL CHECK (rights <@ ARRAY['login', 'enroll', 'import', 'export', 'admin']),
    scope text COLLATE "C",
    -- Seconds since the epoch, by the clock of a verifier.
    expires bigint NOT NULL,
    mac bytea NOT NULL CHECK (octet_length(mac) = 37),
    used_by text COLLATE "C"
);

-- How often each PIN was tried that was sent to a number or an address. It is forgotten when it has ended.
CREATE TABLE otp.pin_try (
    pin bytea PRIMARY KEY CHECK (octet_length(pin) = 16),
    tries smallint NOT NULL,
    ends timestamptz NOT NULL
);

-- When devices of a user were taken away last, or were to be: what was begun before is not gone on with. Kept for a day.
CREATE TABLE otp.reset (
    name text COLLATE "C" PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Rows are written and never changed. An old month goes by DROP TABLE of its owner.
CREATE TABLE otp.audit (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    host text,
    caller_uid bigint,
    name text NOT NULL,
    service text,
    rhost text,
    event text NOT NULL,
    answer text,
    request bytea
) PARTITION BY RANGE (at);
-- No login fails because its month has no partition.
CREATE TABLE otp.audit_other PARTITION OF otp.audit DEFAULT;

-- Whether the line is of a wrong code, also of one that is refused like codes of kinds that the policy does not accept.
CREATE FUNCTION otp.is_wrong(answer text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
    SELECT answer LIKE '%refused wrong%' OR answer LIKE '%refused kind-not-accepted failures %'
$body$;
-- Wrong codes are few beside right ones: whom a host has tried, and from where the last ones of a user came.
CREATE INDEX audit_wrong_of_host ON otp.audit (host, name COLLATE "C") WHERE otp.is_wrong(answer);
CREATE INDEX audit_refused_of_user ON otp.audit (name, at) WHERE answer LIKE 'refused %';
CREATE INDEX audit_wrong_of_user ON otp.audit (name, at) WHERE otp.is_wrong(answer);
-- What was under another name before.
CREATE INDEX audit_renamed ON otp.audit (name, at) WHERE event LIKE 'renamed %';

-- Who reads the audit sees where people are; the verifiers learn this much of it: users for whom a host has sent wrong codes, under the
-- name of now or one before, of a scope if one is given, …
CREATE FUNCTION otp.tried_by(who text, after text, within text) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH RECURSIVE tried_before AS (
        SELECT r.name FROM otp.audit r WHERE r.event LIKE 'renamed from %' AND EXISTS (SELECT FROM otp.audit a
            WHERE a.host = who AND a.name COLLATE "C" = substr(r.event, length('renamed from ') + 1) AND otp.is_wrong(a.answer))
        UNION
        SELECT r.name FROM tried_before b JOIN otp.audit r ON r.event LIKE 'renamed from %' AND r.event = 'renamed from ' || b.name
    ), tried AS (
        (SELECT DISTINCT name COLLATE "C" AS name FROM otp.audit
            WHERE host = who AND otp.is_wrong(answer) AND name COLLATE "C" > after
            AND (within IS NULL OR EXISTS (SELECT FROM otp.scope_user s WHERE s.scope = within AND s.name = audit.name))
            ORDER BY 1 LIMIT 100)
        UNION
        SELECT name COLLATE "C" FROM tried_before b WHERE name COLLATE "C" > after
            AND (within IS NULL OR EXISTS (SELECT FROM otp.scope_user s WHERE s.scope = within AND s.name = b.name))
    )
    SELECT name FROM tried ORDER BY name COLLATE "C" LIMIT 100
$body$;
-- … and how many of the last wrong codes for a user that host has sent. A code that was asked about again is one. What came before a record
-- had its name counts under the name that it had; what came before the name was given away is of the record that was given.
CREATE FUNCTION otp.wrong_codes_of(who text, whose text, last bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH RECURSIVE named AS (
        SELECT whose AS name, 'infinity'::timestamptz AS until
        UNION ALL
        SELECT CASE WHEN turn.event LIKE 'renamed from %' THEN substr(turn.event, length('renamed from ') + 1) END, turn.at
        FROM named n CROSS JOIN LATERAL (SELECT a.event, a.at FROM otp.audit a
            WHERE a.name = n.name AND a.at < n.until AND a.event LIKE 'renamed %' ORDER BY a.at DESC LIMIT 1) turn
    ), held AS (SELECT name, until, lead(until, 1, '-infinity') OVER (ORDER BY until DESC) AS since FROM named
    ), told AS (SELECT a.host, a.request, a.at, a.answer LIKE '%refused kind-not-accepted%' AS is_hidden,
            substring(a.answer FROM ' failures ([0-9]+)') AS number
        FROM held h JOIN otp.audit a ON a.name = h.name AND a.at >= h.since AND a.at < h.until
        WHERE otp.is_wrong(a.answer) ORDER BY a.at DESC LIMIT 10000)
    -- What is hidden may also be a refusal because of the lock, which counts no further.
    SELECT count(*) FILTER (WHERE host = who) FROM (SELECT host, min(at) AS first FROM
            (SELECT *, lag(number) OVER (ORDER BY at) AS before FROM told) line WHERE NOT is_hidden OR number IS DISTINCT FROM before
        GROUP BY host, coalesce(request, convert_to(at::text, 'UTF8'))
        ORDER BY first DESC LIMIT least(greatest(last, 0), 10000)) wrong
$body$;
-- … and what an administrator asks for on a verifier's machine, the newest rows first.
CREATE FUNCTION otp.told(who text, whence text, since timestamptz, most bigint)
RETURNS TABLE (at text, host text, caller_uid bigint, name text, service text, rhost text, event text, answer text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), a.host, a.caller_uid, a.name, a.service, a.rhost, a.event, a.answer
    FROM otp.audit a WHERE a.at >= since AND (who IS NULL OR a.name = who) AND (whence IS NULL OR a.host = whence)
    ORDER BY a.at DESC LIMIT least(greatest(most, 0), 10001)
$body$;
-- … and the last refusals of a user, for the help desk.
CREATE FUNCTION otp.refusals_of(whose text, most bigint)
RETURNS TABLE (at text, host text, caller_uid bigint, name text, service text, rhost text, event text, answer text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    SELECT to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), a.host, a.caller_uid, a.name, a.service, a.rhost, a.event, a.answer
    FROM otp.audit a WHERE a.name = whose AND a.answer LIKE 'refused %' ORDER BY a.at DESC LIMIT least(greatest(most, 0), 100)
$body$;
REVOKE ALL ON FUNCTION otp.refusals_of(text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION otp.told(text, text, timestamptz, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION otp.tried_by(text, text, text), otp.wrong_codes_of(text, text, bigint) FROM PUBLIC;

-- Makes the tables of this month and of the next ones; returns how many were made. A month that has rows in audit_other stays there.
CREATE FUNCTION otp.make_months(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $body$
DECLARE
    first timestamptz;
    part text;
    made integer := 0;
BEGIN
    FOR step IN 0..least(greatest(ahead, 0), 24) LOOP
        first := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => step)) AT TIME ZONE 'UTC';
        part := 'audit_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass('otp.' || part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE otp.%I (LIKE otp.audit INCLUDING DEFAULTS)', part);
            EXECUTE format('ALTER TABLE otp.audit ATTACH PARTITION otp.%I FOR VALUES FROM (%L) TO (%L)', part, first,
                ((first AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
            made := made + 1;
        EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table THEN
            NULL;
        END;
    END LOOP;
    RETURN made;
END
$body$;
REVOKE ALL ON FUNCTION otp.make_months(integer) FROM PUBLIC;
SELECT otp.make_months(2);

-- The messages of the last day, which the limits of senders count.
CREATE TABLE otp.message (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('sms', 'email')),
    name text COLLATE "C" NOT NULL,
    -- What names the number or address: a hash under a key that no server of this database has.
    destination bytea NOT NULL,
    -- The one that asked for it: a host has a share of what all may have.
    host text COLLATE "C"
);
CREATE INDEX ON otp.message (name, at);
CREATE INDEX ON otp.message (destination, at);
CREATE INDEX ON otp.message (kind, at);
CREATE INDEX ON otp.message (host, kind, at);
-- One row. Who has counted messages and notes the next one changes its number: of two that counted the same, one counts again.
CREATE TABLE otp.message_turn (one boolean PRIMARY KEY DEFAULT true CHECK (one), number bigint NOT NULL);
INSERT INTO otp.message_turn (number) VALUES (0);

GRANT SELECT, UPDATE (key) ON otp.fleet TO otp_verifier;
GRANT SELECT, INSERT, DELETE ON otp.message TO otp_verifier;
GRANT SELECT, UPDATE ON otp.message_turn TO otp_verifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON otp.record TO otp_verifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON otp.pin_try TO otp_verifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON otp.reset TO otp_verifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON otp.moving TO otp_verifier;
GRANT INSERT ON otp.audit TO otp_verifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON otp.host TO otp_verifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON otp.join_token TO otp_verifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON otp.scope_user TO otp_verifier;
GRANT EXECUTE ON FUNCTION otp.refusals_of(text, bigint) TO otp_verifier;
GRANT EXECUTE ON FUNCTION otp.told(text, text, timestamptz, bigint) TO otp_verifier;
GRANT EXECUTE ON FUNCTION otp.make_months(integer) TO otp_verifier;
GRANT EXECUTE ON FUNCTION otp.tried_by(text, text, text), otp.wrong_codes_of(text, text, bigint) TO otp_verifier;
