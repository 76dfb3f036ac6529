-- Log Reader agent: which log lines tell of a fault?
-- Reads: board (log lines). Writes: board_updates. One row per line that tells of a fault.

CREATE TEMPORARY VIEW log_lines AS                             -- perceive
SELECT
  board_id,
  entry_id,
  subject,
  predicate,
  `value` AS line,
  headers
FROM board
WHERE predicate LIKE 'log %' AND `value` IS NOT NULL AND source LIKE 'blackboard.%';

CREATE TEMPORARY VIEW read_lines AS                            -- decide
SELECT * FROM run_agent(input => TABLE log_lines PARTITION BY entry_id, agent => 'read_logs');

INSERT INTO board_updates                                      -- act
SELECT
  board_id,
  subject,
  CONCAT('fault in ', predicate) AS predicate,
  line AS `value`,
  0.8 AS confidence,
  TRY_CAST(NULL AS TIMESTAMP_LTZ(3)) AS valid_until,
  TRY_CAST(NULL AS INT) AS expected_version,
  TRY_CAST(NULL AS STRING) AS supersedes,
  ARRAY[entry_id] AS evidence,
  headers
FROM read_lines
WHERE sign = 'fault';
