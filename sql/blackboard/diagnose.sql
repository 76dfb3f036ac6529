-- Diagnosis agent: what broke?
-- Reads: board (metrics, faults, suspicions). Writes: board_updates. One row per fault or suspicion
-- that it can name a cause for, by all that stands on the board then; its later word replaces its
-- earlier one.
-- What comes from outside of the team it does not hear of: that is its filter, not the board's.

CREATE TEMPORARY VIEW weighed_entries AS                       -- perceive
SELECT
  board_id,
  entry_id,
  source,
  subject,
  predicate,
  `value`,
  confidence,
  version,
  said_at,
  valid_until,
  evidence,
  confidence AS weight,
  `value` IS NOT NULL AND NOT predicate LIKE 'metric %' AS wakes,
  headers
FROM board
WHERE
  source LIKE 'blackboard.%'
  AND (predicate LIKE 'metric %' OR predicate LIKE 'fault %' OR predicate LIKE 'suspicion %');

CREATE TEMPORARY VIEW boards AS
SELECT * FROM read_board(input => TABLE weighed_entries PARTITION BY board_id, most => 60);

CREATE TEMPORARY VIEW boards_to_diagnose AS
SELECT
  board_id,
  entries,
  entry_ids,
  headers
FROM boards;

CREATE TEMPORARY VIEW diagnoses AS                             -- decide
SELECT * FROM run_agent(input => TABLE boards_to_diagnose PARTITION BY board_id, agent => 'diagnose');

INSERT INTO board_updates                                      -- act
SELECT
  board_id,
  'incident' AS subject,
  'cause' AS predicate,
  CONCAT(cause, ': ', grounds) AS `value`,
  0.8 AS confidence,
  TRY_CAST(NULL AS TIMESTAMP_LTZ(3)) AS valid_until,
  TRY_CAST(NULL AS INT) AS expected_version,
  TRY_CAST(NULL AS STRING) AS supersedes,
  entry_ids AS evidence,
  headers
FROM diagnoses
WHERE cause <> 'unknown';
