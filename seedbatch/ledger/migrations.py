"""The ledger's tables, as migrations. `docs/ledger.md` describes them: they are a public read interface.

A migration that was released is never edited: its SQL stays literal, whatever becomes of the code's own enums.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlite_utils import Database, Migrations

from seedbatch.ledger.views import VIEWS

migrations: Final = Migrations("seedbatch")

_TABLES: Final = """
CREATE TABLE meta (
  key      TEXT PRIMARY KEY,
  value    TEXT NOT NULL,
  checksum BLOB
) STRICT;

CREATE TABLE batches (
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  manifest    TEXT NOT NULL,
  digest      TEXT NOT NULL,
  "commit"    TEXT NOT NULL,
  dirty       INTEGER NOT NULL CHECK (dirty IN (0, 1)),
  tries       INTEGER NOT NULL CHECK (tries >= 1),
  max_jobs    INTEGER CHECK (max_jobs >= 0),
  max_cost    INTEGER CHECK (max_cost >= 0),
  currency    TEXT,
  declared_at TEXT NOT NULL,
  checksum    BLOB,
  CHECK ((max_cost IS NULL) = (currency IS NULL))
) STRICT;

CREATE TABLE jobs (
  id          INTEGER PRIMARY KEY,
  batch_id    INTEGER NOT NULL REFERENCES batches (id),
  base        TEXT NOT NULL,
  take        INTEGER NOT NULL CHECK (take >= 1),
  revision    INTEGER NOT NULL CHECK (revision >= 1),
  address     TEXT NOT NULL,
  standing    TEXT NOT NULL CHECK (standing IN ('current', 'superseded', 'orphan')),
  position    INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('pending', 'submitting', 'in_doubt', 'running', 'succeeded',
                                             'completed', 'failed', 'expired', 'abandoned')),
  failure     TEXT CHECK (failure IN ('moderation', 'invalid', 'credits', 'provider', 'timeout',
                                      'cancelled', 'no_output', 'lost')),
  reason      TEXT NOT NULL DEFAULT '',
  model       TEXT NOT NULL,
  input       TEXT NOT NULL,
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) = 64),
  price       INTEGER CHECK (price >= 0),
  currency    TEXT,
  output      TEXT NOT NULL CHECK (output <> ''),
  axes        TEXT NOT NULL,
  tags        TEXT NOT NULL,
  file        TEXT NOT NULL,
  line        INTEGER NOT NULL,
  not_before  TEXT,
  misses      INTEGER NOT NULL DEFAULT 0 CHECK (misses >= 0),
  gone        INTEGER NOT NULL DEFAULT 0 CHECK (gone BETWEEN 0 AND misses),
  downloader  TEXT CHECK (downloader IS NULL OR state = 'succeeded'),
  expires_at  TEXT,
  created_at  TEXT NOT NULL,
  updated_at  TEXT NOT NULL,
  checksum    BLOB,
  CHECK ((price IS NULL) = (currency IS NULL)),
  CHECK ((state = 'failed') = (failure IS NOT NULL)),
  CHECK (state <> 'succeeded' OR expires_at IS NOT NULL),
  UNIQUE (batch_id, base, take, revision),
  UNIQUE (batch_id, base, take, fingerprint)
) STRICT;
CREATE UNIQUE INDEX jobs_current ON jobs (batch_id, base, take) WHERE standing = 'current';
CREATE INDEX jobs_queue ON jobs (state, batch_id, position);
CREATE INDEX jobs_expiry ON jobs (expires_at) WHERE state = 'succeeded';

CREATE TABLE attempts (
  id          INTEGER PRIMARY KEY,
  job_id      INTEGER NOT NULL REFERENCES jobs (id),
  number      INTEGER NOT NULL CHECK (number >= 1),
  owner       TEXT NOT NULL,
  reference   TEXT NOT NULL UNIQUE,
  task_id     TEXT UNIQUE CHECK (task_id <> ''),
  doubt       TEXT CHECK (doubt <> ''),
  outcome     TEXT CHECK (outcome IN ('not_sent', 'throttled', 'turned_away', 'refused', 'failed', 'succeeded',
                                      'lost', 'resubmitted', 'abandoned')),
  price       INTEGER CHECK (price >= 0),
  currency    TEXT,
  counted     INTEGER NOT NULL DEFAULT 1 CHECK (counted IN (0, 1)),
  exposure    INTEGER NOT NULL DEFAULT 0 CHECK (exposure >= 0),
  violated_on TEXT CHECK (violated_on IS NULL OR outcome = 'failed'),
  status      TEXT,
  misses      INTEGER NOT NULL DEFAULT 0 CHECK (misses >= 0),
  empties     INTEGER NOT NULL DEFAULT 0 CHECK (empties >= 0),
  renewals    INTEGER NOT NULL DEFAULT 0 CHECK (renewals >= 0),
  kind        TEXT CHECK (kind IN ('video', 'image')),
  intended_at TEXT NOT NULL,
  accepted_at TEXT,
  query_at    TEXT,
  asker       TEXT CHECK (asker IS NULL OR (outcome IS NULL AND task_id IS NOT NULL)),
  ended_at    TEXT,
  checksum    BLOB,
  CHECK ((price IS NULL) = (currency IS NULL)),
  CHECK (exposure <= coalesce(price, 0)),
  CHECK ((outcome IN ('not_sent', 'throttled', 'turned_away', 'refused')) <= (counted = 0 AND exposure = 0)),
  CHECK ((outcome IS NULL OR outcome IN ('failed', 'succeeded', 'resubmitted', 'abandoned')) <= (counted = 1)),
  CHECK ((outcome IS NULL) = (ended_at IS NULL)),
  CHECK ((task_id IS NULL) = (accepted_at IS NULL)),
  CHECK ((outcome IN ('failed', 'succeeded')) <= (task_id IS NOT NULL)),
  CHECK ((outcome IN ('not_sent', 'throttled', 'turned_away', 'refused')) <= (task_id IS NULL)),
  CHECK (outcome <> 'succeeded' OR kind IS NOT NULL),
  UNIQUE (job_id, number)
) STRICT;
CREATE UNIQUE INDEX attempts_open ON attempts (job_id) WHERE outcome IS NULL;
CREATE INDEX attempts_due ON attempts (query_at) WHERE outcome IS NULL AND task_id IS NOT NULL;
CREATE INDEX attempts_intended ON attempts (intended_at);

CREATE TABLE outputs (
  attempt_id INTEGER NOT NULL REFERENCES attempts (id),
  position   INTEGER NOT NULL CHECK (position >= 1),
  url        TEXT NOT NULL CHECK (url <> ''),
  checksum   BLOB,
  PRIMARY KEY (attempt_id, position)
) STRICT;

CREATE TABLE artifacts (
  id           INTEGER PRIMARY KEY,
  job_id       INTEGER NOT NULL REFERENCES jobs (id),
  attempt_id   INTEGER NOT NULL,
  position     INTEGER NOT NULL,
  folder       TEXT NOT NULL,
  path         TEXT NOT NULL CHECK (path <> ''),
  bytes        INTEGER NOT NULL CHECK (bytes > 0),
  sha256       TEXT NOT NULL CHECK (length(sha256) = 64),
  content_type TEXT NOT NULL,
  stored_at    TEXT NOT NULL,
  checksum     BLOB,
  FOREIGN KEY (attempt_id, position) REFERENCES outputs (attempt_id, position),
  UNIQUE (attempt_id, position),
  UNIQUE (folder, path)
) STRICT;
CREATE INDEX artifacts_job ON artifacts (job_id);

CREATE TABLE events (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  at         TEXT NOT NULL,
  type       TEXT NOT NULL,
  job_id     INTEGER NOT NULL REFERENCES jobs (id),
  attempt_id INTEGER REFERENCES attempts (id),
  from_state TEXT,
  to_state   TEXT,
  data       TEXT NOT NULL,
  checksum   BLOB
) STRICT;
CREATE INDEX events_job ON events (job_id, seq);

CREATE TABLE totals (
  scope    TEXT NOT NULL,
  currency TEXT NOT NULL,
  count    INTEGER NOT NULL CHECK (count >= 0),
  exposure INTEGER NOT NULL CHECK (exposure >= 0),
  PRIMARY KEY (scope, currency)
) STRICT, WITHOUT ROWID;
"""

# What a claim would otherwise count anew over all attempts. `ledger check` does count anew, and compares.
_TOTALS: Final = """
CREATE TRIGGER attempts_reserved AFTER INSERT ON attempts
BEGIN
  INSERT INTO totals (scope, currency, count, exposure)
  SELECT scope, coalesce(NEW.currency, ''), NEW.counted, NEW.exposure FROM (
    SELECT 'batch ' || batch_id AS scope FROM jobs WHERE id = NEW.job_id
    UNION ALL SELECT 'day ' || substr(NEW.intended_at, 1, 10)
    UNION ALL SELECT 'owner ' || NEW.owner) WHERE true
  ON CONFLICT (scope, currency) DO UPDATE SET count = count + excluded.count, exposure = exposure + excluded.exposure;
END;

CREATE TRIGGER attempts_released AFTER UPDATE OF counted, exposure, currency ON attempts
BEGIN
  UPDATE totals SET count = count - OLD.counted, exposure = exposure - OLD.exposure
  WHERE currency = coalesce(OLD.currency, '') AND scope IN (
    (SELECT 'batch ' || batch_id FROM jobs WHERE id = OLD.job_id),
    'day ' || substr(OLD.intended_at, 1, 10),
    'owner ' || OLD.owner);
  INSERT INTO totals (scope, currency, count, exposure)
  SELECT scope, coalesce(NEW.currency, ''), NEW.counted, NEW.exposure FROM (
    SELECT 'batch ' || batch_id AS scope FROM jobs WHERE id = NEW.job_id
    UNION ALL SELECT 'day ' || substr(NEW.intended_at, 1, 10)
    UNION ALL SELECT 'owner ' || NEW.owner) WHERE true
  ON CONFLICT (scope, currency) DO UPDATE SET count = count + excluded.count, exposure = exposure + excluded.exposure;
END;

CREATE TRIGGER attempts_finished AFTER UPDATE OF outcome ON attempts
WHEN OLD.outcome IS NULL AND NEW.outcome IN ('failed', 'succeeded')
BEGIN
  INSERT INTO totals (scope, currency, count, exposure) VALUES ('finished', '', 1, 0)
  ON CONFLICT (scope, currency) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER attempts_rejected AFTER UPDATE OF violated_on ON attempts
WHEN OLD.violated_on IS NULL AND NEW.violated_on IS NOT NULL
BEGIN
  INSERT INTO totals (scope, currency, count, exposure)
  VALUES ('rejected', '', 1, 0), ('violations ' || NEW.violated_on, '', 1, 0)
  ON CONFLICT (scope, currency) DO UPDATE SET count = count + 1;
END;
"""

_GUARDS: Final = """
CREATE TRIGGER jobs_transition BEFORE UPDATE OF state ON jobs
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN (
  'pending>submitting', 'pending>abandoned',
  'submitting>pending', 'submitting>running', 'submitting>in_doubt', 'submitting>failed',
  'in_doubt>pending', 'in_doubt>running', 'in_doubt>failed', 'in_doubt>abandoned',
  'running>succeeded', 'running>failed', 'running>abandoned',
  'succeeded>completed', 'succeeded>expired', 'succeeded>abandoned',
  'failed>pending', 'expired>pending', 'abandoned>pending')
BEGIN SELECT RAISE(ABORT, 'a job cannot go from this state to that'); END;

CREATE TRIGGER jobs_live BEFORE UPDATE OF state ON jobs
WHEN (NEW.state IN ('submitting', 'in_doubt', 'running'))
  <> EXISTS (SELECT 1 FROM attempts WHERE job_id = NEW.id AND outcome IS NULL)
BEGIN SELECT RAISE(ABORT, 'exactly the live states have an open attempt'); END;

CREATE TRIGGER jobs_kept BEFORE DELETE ON jobs
BEGIN SELECT RAISE(ABORT, 'the ledger forgets nothing'); END;
CREATE TRIGGER attempts_kept BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'the ledger forgets nothing'); END;
CREATE TRIGGER attempts_task_kept BEFORE UPDATE OF task_id ON attempts WHEN OLD.task_id IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a task id is never replaced'); END;
CREATE TRIGGER attempts_ended BEFORE UPDATE OF outcome ON attempts WHEN OLD.outcome IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an attempt ends once'); END;
CREATE TRIGGER events_unchanged BEFORE UPDATE OF seq, at, type, job_id, attempt_id, from_state, to_state, data ON events
BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
CREATE TRIGGER events_kept BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
"""


_CALLBACKS: Final = """
ALTER TABLE attempts ADD COLUMN token TEXT CHECK (length(token) = 64);
ALTER TABLE attempts ADD COLUMN called_at TEXT;
ALTER TABLE attempts ADD COLUMN took REAL CHECK (took >= 0);
CREATE UNIQUE INDEX attempts_token ON attempts (token);
CREATE INDEX attempts_uncalled ON attempts (id)
  WHERE token IS NOT NULL AND called_at IS NULL AND outcome IN ('failed', 'succeeded');

CREATE TABLE callbacks (
  id          INTEGER PRIMARY KEY,
  token       TEXT NOT NULL CHECK (length(token) = 64),
  body        ANY NOT NULL,
  digest      TEXT NOT NULL CHECK (length(digest) = 64),
  received_at TEXT NOT NULL,
  task_id     TEXT,
  verdict     TEXT CHECK (verdict IN ('heard', 'known', 'adopted', 'surfaced', 'extra', 'refused', 'unknown')),
  reason      TEXT NOT NULL DEFAULT '',
  reader      TEXT CHECK (reader IS NULL OR verdict IS NULL),
  misses      INTEGER NOT NULL DEFAULT 0 CHECK (misses >= 0),
  read_at     TEXT NOT NULL,
  checksum    BLOB,
  UNIQUE (token, digest)
) STRICT;
CREATE INDEX callbacks_waiting ON callbacks (id) WHERE verdict IS NULL;
CREATE INDEX callbacks_unknown ON callbacks (id) WHERE verdict = 'unknown';

CREATE TABLE extras (
  id         INTEGER PRIMARY KEY,
  attempt_id INTEGER NOT NULL REFERENCES attempts (id),
  task_id    TEXT NOT NULL UNIQUE CHECK (task_id <> ''),
  price      INTEGER CHECK (price >= 0),
  currency   TEXT,
  exposure   INTEGER NOT NULL CHECK (exposure BETWEEN 0 AND coalesce(price, 0)),
  found_at   TEXT NOT NULL,
  checksum   BLOB,
  CHECK ((price IS NULL) = (currency IS NULL))
) STRICT;
CREATE INDEX extras_attempt ON extras (attempt_id);

CREATE TRIGGER extras_counted AFTER INSERT ON extras
BEGIN
  INSERT INTO totals (scope, currency, count, exposure)
  SELECT scope, coalesce(NEW.currency, ''), 0, NEW.exposure FROM (
    SELECT 'batch ' || j.batch_id AS scope FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.id = NEW.attempt_id
    UNION ALL SELECT 'day ' || substr(intended_at, 1, 10) FROM attempts WHERE id = NEW.attempt_id
    UNION ALL SELECT 'owner ' || owner FROM attempts WHERE id = NEW.attempt_id) WHERE true
  ON CONFLICT (scope, currency) DO UPDATE SET exposure = exposure + excluded.exposure;
END;

CREATE TRIGGER extras_kept BEFORE DELETE ON extras
BEGIN SELECT RAISE(ABORT, 'the ledger forgets nothing'); END;
CREATE TRIGGER extras_unchanged BEFORE UPDATE OF attempt_id, task_id, price, currency, exposure ON extras
BEGIN SELECT RAISE(ABORT, 'an extra task is never changed'); END;
CREATE TRIGGER callbacks_kept BEFORE DELETE ON callbacks
BEGIN SELECT RAISE(ABORT, 'the ledger forgets nothing'); END;
CREATE TRIGGER callbacks_unchanged BEFORE UPDATE OF token, body, digest, received_at ON callbacks
BEGIN SELECT RAISE(ABORT, 'a callback is kept as it came'); END;
"""

# What a job can be selected by: of a row in `jobs` that is read from (`jobs j, `), or that a trigger knows.
_LABELS: Final = """
    SELECT {row}.id AS job_id, 'tag:' AS name, CAST(e.value AS TEXT) AS value
    FROM {source}json_each({row}.tags) e
    UNION ALL
    SELECT {row}.id, e.key, CASE WHEN e.type IN ('true', 'false', 'null') THEN e.type ELSE CAST(e.value AS TEXT) END
    FROM {source}json_each({row}.axes) e
    WHERE e.type NOT IN ('array', 'object')
    UNION ALL
    SELECT {row}.id, e.key, CASE WHEN e.type IN ('true', 'false', 'null') THEN e.type ELSE CAST(e.value AS TEXT) END
    FROM {source}json_each({row}.input) e
    WHERE e.type NOT IN ('array', 'object') AND e.key <> 'prompt' AND coalesce(length(CAST(e.value AS BLOB)), 0) <= 200
"""

_SELECTIONS: Final = f"""
ALTER TABLE batches ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';

CREATE TABLE labels (
  job_id INTEGER NOT NULL REFERENCES jobs (id),
  name   TEXT NOT NULL,
  value  TEXT NOT NULL,
  PRIMARY KEY (job_id, name, value)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO labels (job_id, name, value) SELECT job_id, name, value FROM (
{_LABELS.format(source="jobs j, ", row="j")}
) WHERE instr(value, char(0)) = 0;
CREATE INDEX labels_value ON labels (name, value);

CREATE TRIGGER jobs_labelled AFTER INSERT ON jobs
BEGIN
  INSERT OR IGNORE INTO labels (job_id, name, value) SELECT job_id, name, value FROM (
{_LABELS.format(source="", row="NEW")}
  ) WHERE instr(value, char(0)) = 0;
END;

CREATE TRIGGER jobs_relabelled AFTER UPDATE OF tags, axes, input ON jobs
WHEN OLD.tags IS NOT NEW.tags OR OLD.axes IS NOT NEW.axes OR OLD.input IS NOT NEW.input
BEGIN
  DELETE FROM labels WHERE job_id = NEW.id;
  INSERT OR IGNORE INTO labels (job_id, name, value) SELECT job_id, name, value FROM (
{_LABELS.format(source="", row="NEW")}
  ) WHERE instr(value, char(0)) = 0;
END;

CREATE INDEX jobs_address ON jobs (address);
CREATE INDEX jobs_model ON jobs (model);
CREATE INDEX jobs_failure ON jobs (failure) WHERE failure IS NOT NULL;
CREATE INDEX jobs_reason ON jobs (reason) WHERE reason <> '';
CREATE INDEX jobs_later ON jobs (not_before) WHERE state = 'pending' AND not_before IS NOT NULL;
CREATE INDEX attempts_results ON attempts (id) WHERE outcome IN ('failed', 'succeeded');
CREATE INDEX attempts_violated ON attempts (violated_on) WHERE violated_on IS NOT NULL;

INSERT INTO totals (scope, currency, count, exposure)
SELECT 'awaited', '', count(*), 0 FROM attempts
WHERE outcome IN ('failed', 'succeeded') AND token IS NOT NULL GROUP BY 1
UNION ALL
SELECT 'called', '', count(*), 0 FROM attempts
WHERE outcome IN ('failed', 'succeeded') AND token IS NOT NULL AND called_at IS NOT NULL GROUP BY 1;

CREATE TRIGGER attempts_awaited AFTER UPDATE OF outcome ON attempts
WHEN OLD.outcome IS NULL AND NEW.outcome IN ('failed', 'succeeded') AND NEW.token IS NOT NULL
BEGIN
  INSERT INTO totals (scope, currency, count, exposure) VALUES ('awaited', '', 1, 0)
  ON CONFLICT (scope, currency) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER attempts_called AFTER UPDATE OF outcome, called_at ON attempts
WHEN NEW.outcome IN ('failed', 'succeeded') AND NEW.token IS NOT NULL AND NEW.called_at IS NOT NULL
  AND (OLD.outcome IS NULL OR OLD.called_at IS NULL)
BEGIN
  INSERT INTO totals (scope, currency, count, exposure) VALUES ('called', '', 1, 0)
  ON CONFLICT (scope, currency) DO UPDATE SET count = count + 1;
END;

CREATE TABLE counts (
  batch_id INTEGER NOT NULL REFERENCES batches (id),
  standing TEXT NOT NULL,
  state    TEXT NOT NULL,
  count    INTEGER NOT NULL CHECK (count >= 0),
  PRIMARY KEY (batch_id, standing, state)
) STRICT, WITHOUT ROWID;
INSERT INTO counts (batch_id, standing, state, count)
SELECT batch_id, standing, state, count(*) FROM jobs GROUP BY batch_id, standing, state;

CREATE TRIGGER jobs_counted AFTER INSERT ON jobs
BEGIN
  INSERT INTO counts (batch_id, standing, state, count) VALUES (NEW.batch_id, NEW.standing, NEW.state, 1)
  ON CONFLICT (batch_id, standing, state) DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER jobs_recounted AFTER UPDATE OF batch_id, standing, state ON jobs
WHEN OLD.batch_id <> NEW.batch_id OR OLD.standing <> NEW.standing OR OLD.state <> NEW.state
BEGIN
  UPDATE counts SET count = count - 1
  WHERE batch_id = OLD.batch_id AND standing = OLD.standing AND state = OLD.state;
  INSERT INTO counts (batch_id, standing, state, count) VALUES (NEW.batch_id, NEW.standing, NEW.state, 1)
  ON CONFLICT (batch_id, standing, state) DO UPDATE SET count = count + 1;
END;
"""  # noqa: S608 - our words

_OF_VARS: Final = """
    UNION ALL
    SELECT NEW.id, e.key, CASE WHEN e.type IN ('true', 'false', 'null') THEN e.type ELSE CAST(e.value AS TEXT) END
    FROM json_each(NEW.vars) e
    WHERE e.type NOT IN ('array', 'object') AND coalesce(length(CAST(e.value AS BLOB)), 0) <= 200
"""

# The next `apply` writes the vars of jobs that are there already.
_VARS: Final = f"""
ALTER TABLE jobs ADD COLUMN vars TEXT NOT NULL DEFAULT '{{}}';

DROP TRIGGER jobs_labelled;
CREATE TRIGGER jobs_labelled AFTER INSERT ON jobs
BEGIN
  INSERT OR IGNORE INTO labels (job_id, name, value) SELECT job_id, name, value FROM (
{_LABELS.format(source="", row="NEW")}{_OF_VARS}
  ) WHERE instr(value, char(0)) = 0;
END;

DROP TRIGGER jobs_relabelled;
CREATE TRIGGER jobs_relabelled AFTER UPDATE OF tags, axes, vars, input ON jobs
WHEN OLD.tags IS NOT NEW.tags OR OLD.axes IS NOT NEW.axes OR OLD.vars IS NOT NEW.vars OR OLD.input IS NOT NEW.input
BEGIN
  DELETE FROM labels WHERE job_id = NEW.id;
  INSERT OR IGNORE INTO labels (job_id, name, value) SELECT job_id, name, value FROM (
{_LABELS.format(source="", row="NEW")}{_OF_VARS}
  ) WHERE instr(value, char(0)) = 0;
END;
"""  # noqa: S608 - our words

# What a run submitted and what that may cost stands in `totals` by its owner, so it is not told a second time here.
_RUNS: Final = """
CREATE TABLE runs (
  id        INTEGER PRIMARY KEY,
  owner     TEXT NOT NULL UNIQUE,
  command   TEXT NOT NULL CHECK (command <> ''),
  arguments TEXT NOT NULL,
  who       TEXT NOT NULL,
  version   TEXT NOT NULL,
  batches   TEXT NOT NULL,
  event     INTEGER NOT NULL CHECK (event >= 0),
  began_at  TEXT NOT NULL,
  ended_at  TEXT,
  exit      INTEGER CHECK (exit BETWEEN 0 AND 255),
  did       TEXT,
  checksum  BLOB,
  CHECK ((ended_at IS NULL) = (exit IS NULL)),
  CHECK ((ended_at IS NULL) = (did IS NULL))
) STRICT;

CREATE TRIGGER runs_kept BEFORE DELETE ON runs
BEGIN SELECT RAISE(ABORT, 'the ledger forgets nothing'); END;
CREATE TRIGGER runs_unchanged
BEFORE UPDATE OF id, owner, command, arguments, who, version, batches, event, began_at ON runs
BEGIN SELECT RAISE(ABORT, 'how a run began is never changed'); END;
CREATE TRIGGER runs_ended BEFORE UPDATE OF ended_at, exit, did ON runs WHEN OLD.ended_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a run ends once'); END;
"""

# The artifacts of a task belong to every job that shares it: each at a path of its own.
_SHARES: Final = """
CREATE TABLE shares (
  job_id    INTEGER PRIMARY KEY REFERENCES jobs (id),
  source_id INTEGER NOT NULL REFERENCES jobs (id) CHECK (source_id <> job_id),
  since     TEXT NOT NULL,
  linked_at TEXT,
  checksum  BLOB
) STRICT;
CREATE INDEX shares_waiting ON shares (job_id) WHERE linked_at IS NULL;
CREATE TRIGGER shares_kept BEFORE DELETE ON shares WHEN OLD.linked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the ledger forgets nothing'); END;

CREATE INDEX jobs_paid ON jobs (fingerprint, take)
  WHERE state IN ('submitting', 'in_doubt', 'running', 'succeeded', 'completed');

CREATE TABLE artifacts_of_shares (
  id           INTEGER PRIMARY KEY,
  job_id       INTEGER NOT NULL REFERENCES jobs (id),
  attempt_id   INTEGER NOT NULL,
  position     INTEGER NOT NULL,
  folder       TEXT NOT NULL,
  path         TEXT NOT NULL CHECK (path <> ''),
  bytes        INTEGER NOT NULL CHECK (bytes > 0),
  sha256       TEXT NOT NULL CHECK (length(sha256) = 64),
  content_type TEXT NOT NULL,
  stored_at    TEXT NOT NULL,
  checksum     BLOB,
  FOREIGN KEY (attempt_id, position) REFERENCES outputs (attempt_id, position),
  UNIQUE (job_id, attempt_id, position),
  UNIQUE (folder, path)
) STRICT;
INSERT INTO artifacts_of_shares SELECT * FROM artifacts;
DROP TABLE artifacts;
ALTER TABLE artifacts_of_shares RENAME TO artifacts;
CREATE INDEX artifacts_job ON artifacts (job_id);
CREATE TRIGGER artifacts_shared BEFORE INSERT ON artifacts
WHEN NEW.job_id <> (SELECT job_id FROM attempts WHERE id = NEW.attempt_id) AND NOT EXISTS (
  SELECT 1 FROM shares s JOIN attempts a ON a.job_id = s.source_id
  WHERE s.job_id = NEW.job_id AND a.id = NEW.attempt_id)
BEGIN SELECT RAISE(ABORT, 'a file belongs to the job whose task made it, or to one that shares it'); END;

DROP TRIGGER jobs_transition;
CREATE TRIGGER jobs_transition BEFORE UPDATE OF state ON jobs
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN (
  'pending>submitting', 'pending>completed', 'pending>abandoned',
  'submitting>pending', 'submitting>running', 'submitting>in_doubt', 'submitting>failed',
  'in_doubt>pending', 'in_doubt>running', 'in_doubt>failed', 'in_doubt>abandoned',
  'running>succeeded', 'running>failed', 'running>abandoned',
  'succeeded>completed', 'succeeded>expired', 'succeeded>abandoned',
  'failed>pending', 'expired>pending', 'abandoned>pending')
BEGIN SELECT RAISE(ABORT, 'a job cannot go from this state to that'); END;
CREATE TRIGGER jobs_shared BEFORE UPDATE OF state ON jobs
WHEN OLD.state = 'pending' AND NEW.state = 'completed' AND NOT EXISTS (
  SELECT 1 FROM shares s JOIN artifacts f ON f.job_id = s.job_id WHERE s.job_id = NEW.id AND s.linked_at IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'only files that it shares complete a job that was not sent'); END;
"""

# What all jobs of a batch were declared as, until anything changes a word of one of them.
_DECLARED: Final = """
CREATE TABLE declared (
  batch_id INTEGER PRIMARY KEY REFERENCES batches (id),
  digest   TEXT NOT NULL CHECK (length(digest) = 64),
  checksum BLOB
) STRICT;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs
BEGIN
  DELETE FROM declared WHERE batch_id = NEW.batch_id;
END;
CREATE TRIGGER jobs_altered AFTER UPDATE OF id, batch_id, base, take, revision, address, standing, position, model,
  input, fingerprint, price, currency, output, axes, vars, tags, file, line ON jobs
BEGIN
  DELETE FROM declared WHERE batch_id IN (OLD.batch_id, NEW.batch_id);
END;
"""


def _add(name: str, script: str) -> None:
    @migrations(name=name)
    def carry_out(db: Database) -> None:
        # executescript would commit the transaction that the migration runs in
        for statement in _statements(script):
            db.conn.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


_add("0001_first_tables", _TABLES + _TOTALS + _GUARDS)
_add("0002_callbacks", _CALLBACKS)
_add("0003_selections", _SELECTIONS)
_add("0004_vars", _VARS)
_add("0005_runs", _RUNS)
_add("0006_shares", _SHARES)
_add("0007_views", VIEWS)
_add("0008_declared", _DECLARED)
