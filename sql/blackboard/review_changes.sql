-- Change Reviewer agent: which changes could have broken something?
-- Reads: board (changes). Writes: board_updates. One row per change that could have. In the demo it joins last, and reads the board from its first entry.

CREATE TEMPORARY VIEW changes AS                               -- perceive
SELECT
  board_id,
  entry_id,
  subject,
  predicate,
  `value` AS change,
  headers
FROM board
WHERE predicate LIKE 'change %' AND `value` IS NOT NULL AND source LIKE 'blackboard.%';

CREATE TEMPORARY VIEW reviewed_changes AS                      -- decide
SELECT * FROM run_agent(input => TABLE changes PARTITION BY entry_id, agent => 'review_changes');

INSERT INTO board_updates                                      -- act
SELECT
  board_id,
  subject,
  CONCAT('suspicion of ', predicate) AS predicate,
  CONCAT(REPLACE(verdict, '_', ' '), ': ', change) AS `value`,
  0.7 AS confidence,
  TRY_CAST(NULL AS TIMESTAMP_LTZ(3)) AS valid_until,
  TRY_CAST(NULL AS INT) AS expected_version,
  TRY_CAST(NULL AS STRING) AS supersedes,
  ARRAY[entry_id] AS evidence,
  headers
FROM reviewed_changes
WHERE verdict <> 'harmless';
