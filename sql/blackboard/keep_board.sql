-- The keeper: what comes to stand on the board?
-- Reads: board_updates. Writes: board, refused_updates. One row per update; two where one takes an
-- entry of its source away.
-- The source of an update is who wrote its record: <team>.<job> for a job, as the runner stamps it.
-- No word in the update itself makes it another's.

CREATE TEMPORARY VIEW proposed_updates AS                      -- perceive
SELECT
  board_id,
  COALESCE(
    REGEXP_EXTRACT(DECODE(headers['ce_source'], 'UTF-8'), '^tidemill:([^.]+[.][^.]+)', 1),
    CONCAT('outside ', DECODE(headers['ce_source'], 'UTF-8'))
  ) AS source,
  subject,
  predicate,
  `value`,
  confidence,
  event_time AS said_at,
  valid_until,
  expected_version,
  supersedes,
  evidence,
  headers
FROM board_updates;

CREATE TEMPORARY VIEW kept_updates AS                          -- decide
SELECT * FROM keep_board(input => TABLE proposed_updates PARTITION BY board_id);

EXECUTE STATEMENT SET                                          -- act
BEGIN

INSERT INTO board
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
  supersedes,
  evidence,
  headers
FROM kept_updates
WHERE status = 'accepted';

INSERT INTO refused_updates
SELECT
  board_id,
  entry_id AS update_id,
  source,
  subject,
  predicate,
  `value`,
  reason,
  message,
  headers
FROM kept_updates
WHERE status = 'refused';

END;
