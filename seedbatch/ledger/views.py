"""Views of the ledger for people: `docs/ledger.md` describes them, `docs/queries.md` asks them.

They show money in units of its currency beside the exact millionths, and nothing that is secret: no token, no link. As
part of a migration that was released they are never edited: a later one drops and makes anew.
"""

from __future__ import annotations

from typing import Final

_OF_JOB: Final = """
  SELECT exposure, currency FROM attempts WHERE job_id = j.id AND price IS NOT NULL
  UNION ALL
  SELECT x.exposure, x.currency FROM extras x JOIN attempts t ON t.id = x.attempt_id
  WHERE t.job_id = j.id AND x.price IS NOT NULL
"""

_CLIPS: Final = f"""
CREATE VIEW clips AS
SELECT b.name AS batch, j.address AS key, j.take, j.revision, j.state, j.failure,
  iif(j.state = 'in_doubt', a.doubt, nullif(j.reason, '')) AS reason,
  j.model, json_extract(j.input, '$.prompt') AS prompt, json_extract(j.input, '$.resolution') AS resolution,
  json_extract(j.input, '$.ratio') AS ratio, json_extract(j.input, '$.duration') AS duration,
  (SELECT sum(exposure) FROM ({_OF_JOB})) / 1e6 AS cost,
  (SELECT sum(exposure) FROM ({_OF_JOB})) AS cost_micros,
  (SELECT max(currency) FROM ({_OF_JOB})) AS currency,
  (SELECT count(*) FROM attempts WHERE job_id = j.id) AS attempts,
  a.task_id, a.intended_at AS submitted_at, a.ended_at AS finished_at, a.took, j.expires_at,
  (SELECT folder || '/' || path FROM artifacts WHERE job_id = j.id ORDER BY position LIMIT 1) AS file,
  (SELECT count(*) FROM artifacts WHERE job_id = j.id) AS files,
  (SELECT sum(bytes) FROM artifacts WHERE job_id = j.id) AS bytes,
  j.tags, j.axes
FROM jobs j JOIN batches b ON b.id = j.batch_id
LEFT JOIN attempts a ON a.id = (SELECT max(id) FROM attempts WHERE job_id = j.id)
WHERE j.standing = 'current';
"""  # noqa: S608 - our words

_SPENDING: Final = """
CREATE VIEW spending AS
SELECT substr(s.intended_at, 1, 10) AS day, b.name AS batch, j.model, s.currency,
  sum(s.is_extra = 0) AS submissions, sum(s.is_extra) AS extra_tasks,
  iif(s.currency IS NULL, NULL, sum(s.exposure) / 1e6) AS cost,
  iif(s.currency IS NULL, NULL, sum(s.exposure)) AS cost_micros,
  sum(s.is_violation) AS violations,
  iif(s.currency IS NULL, NULL, sum(s.is_violation * s.exposure) / 1e6) AS surcharge,
  iif(s.currency IS NULL, NULL, sum(s.is_violation * s.exposure)) AS surcharge_micros
FROM (
  SELECT job_id, intended_at, currency, exposure, 0 AS is_extra, violated_on IS NOT NULL AS is_violation
  FROM attempts WHERE counted = 1
  UNION ALL
  SELECT a.job_id, a.intended_at, x.currency, x.exposure, 1, 0 FROM extras x JOIN attempts a ON a.id = x.attempt_id
) s JOIN jobs j ON j.id = s.job_id JOIN batches b ON b.id = j.batch_id
GROUP BY 1, 2, 3, 4;
"""

_FAILURES: Final = """
CREATE INDEX events_failed ON events (job_id) WHERE to_state IN ('failed', 'expired');

CREATE VIEW failures AS
SELECT e.at, b.name AS batch, j.address AS key, j.revision, a.number AS attempt,
  iif(e.to_state = 'expired', 'expired', json_extract(e.data, '$.class')) AS failure,
  json_extract(e.data, '$.reason') AS reason, j.model, json_extract(j.input, '$.prompt') AS prompt, a.task_id,
  iif(a.currency IS NULL, NULL, a.exposure / 1e6) AS cost, iif(a.currency IS NULL, NULL, a.exposure) AS cost_micros,
  a.currency, j.state AS state_now, j.standing
FROM events e JOIN jobs j ON j.id = e.job_id JOIN batches b ON b.id = j.batch_id
LEFT JOIN attempts a ON a.id = e.attempt_id
WHERE e.to_state IN ('failed', 'expired');
"""

_LATENCY: Final = """
CREATE VIEW latency AS
SELECT b.name AS batch, j.address AS key, j.revision, a.number AS attempt, j.model,
  json_extract(j.input, '$.resolution') AS resolution, json_extract(j.input, '$.duration') AS duration, a.outcome,
  a.intended_at AS submitted_at, a.accepted_at, a.ended_at AS finished_at,
  round((julianday(a.accepted_at) - julianday(a.intended_at)) * 86400, 3) AS answered_after, a.took,
  round((julianday(a.ended_at) - julianday(a.accepted_at)) * 86400, 3) AS known_after,
  a.token IS NOT NULL AS callback_asked, a.called_at
FROM attempts a JOIN jobs j ON j.id = a.job_id JOIN batches b ON b.id = j.batch_id
WHERE a.outcome IN ('failed', 'succeeded');
"""

VIEWS: Final = _CLIPS + _SPENDING + _FAILURES + _LATENCY
