-- The projection: what holds, where sources contradict each other?
-- Reads: board. Writes: board_facts. One row per entry: its fact, as it now stands.
-- The rule is the column `weight`: of the sources of one fact the heaviest prevails. Edit it, and
-- `tidemill submit --replace --from-beginning` makes the projection anew.

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
  confidence * CASE
    WHEN source = 'blackboard.post_signals' THEN 1.0
    WHEN source LIKE 'blackboard.%' THEN 0.9
    ELSE 0.3
  END AS weight,
  TRUE AS wakes,
  headers
FROM board;

CREATE TEMPORARY VIEW facts AS                                 -- decide
SELECT * FROM read_board(input => TABLE weighed_entries PARTITION BY board_id, most => 0);

INSERT INTO board_facts                                        -- act
SELECT
  JSON_ARRAY(board_id, subject, predicate) AS fact_id,
  board_id,
  subject,
  predicate,
  `value`,
  confidence,
  source,
  disputed,
  said_at,
  headers
FROM facts;
