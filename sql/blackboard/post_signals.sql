-- Signals of an incident onto the board. No agent: SQL alone may write there, too.
-- Reads: incident_signals. Writes: board_updates. One row per signal that is worth a place: every log
-- line and change, and a metric that is more than half above or below what is usual.

CREATE TEMPORARY VIEW signals AS                               -- perceive
SELECT
  board_id,
  service,
  signal_id,
  kind,
  name,
  text,
  reading,
  usual,
  child_headers(headers, 'blackboard.post_signals', 0) AS headers
FROM incident_signals;

CREATE TEMPORARY VIEW telling_signals AS                       -- decide
SELECT
  board_id,
  service AS subject,
  CONCAT(kind, ' ', signal_id) AS predicate,
  text AS `value`,
  headers
FROM signals
WHERE kind IN ('log', 'change') AND text IS NOT NULL
UNION ALL
SELECT
  board_id,
  service AS subject,
  CONCAT('metric ', name) AS predicate,
  CONCAT(TRY_CAST(reading AS STRING), ', usually ', TRY_CAST(usual AS STRING)) AS `value`,
  headers
FROM signals
WHERE kind = 'metric' AND (reading > 1.5 * usual OR reading < 0.5 * usual);

INSERT INTO board_updates                                      -- act
SELECT
  board_id,
  subject,
  predicate,
  `value`,
  1.0 AS confidence,
  TRY_CAST(NULL AS TIMESTAMP_LTZ(3)) AS valid_until,
  TRY_CAST(NULL AS INT) AS expected_version,
  TRY_CAST(NULL AS STRING) AS supersedes,
  TRY_CAST(NULL AS ARRAY<STRING>) AS evidence,
  headers
FROM telling_signals;
