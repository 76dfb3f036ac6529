-- All inner nodes of the tree, at any depth: to its members a node is an orchestrator, to the node
-- above it a worker. Nodes join and leave by events; this job need not know them.
-- Reads: node_events, node_results. Writes: node_events, analyst_commands, node_results,
-- case_answers. One answer per objective and node.

CREATE TEMPORARY VIEW heard AS                                 -- perceive
SELECT
  node_id,
  kind,
  JSON_OBJECT(
    KEY 'member' VALUE member_id,
    KEY 'kind' VALUE member_kind,
    KEY 'about' VALUE about,
    KEY 'objective_id' VALUE objective_id,
    KEY 'input' VALUE input,
    KEY 'reply_to' VALUE reply_to,
    KEY 'attempt' VALUE attempt,
    KEY 'deadline_s' VALUE deadline_s
  ) AS event,
  headers
FROM node_events
UNION ALL
SELECT
  reply_to AS node_id,
  'result' AS kind,
  JSON_OBJECT(
    KEY 'command_id' VALUE command_id,
    KEY 'attempt' VALUE attempt,
    KEY 'status' VALUE status,
    KEY 'result' VALUE `result`,
    KEY 'missing' VALUE missing,
    KEY 'reason' VALUE reason
  ) AS event,
  headers
FROM node_results;

CREATE TEMPORARY VIEW said AS                                  -- decide
SELECT * FROM orchestrate(
  input => TABLE heard PARTITION BY node_id,
  plan => 'members',
  attempts => 2,
  timeout_s => 120,
  deadline_s => 300,
  hops => 8,
  commands => 500
);

EXECUTE STATEMENT SET                                          -- act
BEGIN

-- A command to a node is that node's objective; a cancellation goes the same way, behind it.
INSERT INTO node_events
SELECT
  worker AS node_id,
  CASE kind WHEN 'command' THEN 'objective' ELSE kind END AS kind,
  CAST(NULL AS STRING) AS member_id,
  CAST(NULL AS STRING) AS member_kind,
  CAST(NULL AS STRING) AS about,
  command_id AS objective_id,
  input,
  reply_to,
  attempt,
  timeout_s AS deadline_s,
  headers
FROM said
WHERE kind IN ('command', 'cancelled') AND worker_kind = 'node';

INSERT INTO analyst_commands
SELECT
  worker,
  command_id,
  reply_to,
  attempt,
  kind,
  input,
  headers
FROM said
WHERE kind IN ('command', 'cancelled') AND worker_kind = 'analyst';

-- The answer of a node is a result to the node above it.
INSERT INTO node_results
SELECT
  reply_to,
  command_id,
  attempt,
  status,
  `result`,
  missing,
  reason,
  headers
FROM said
WHERE kind = 'answer' AND reply_to IS NOT NULL;

INSERT INTO case_answers
SELECT
  objective_id,
  worker AS node_id,
  status,
  input,
  `result`,
  missing,
  reason,
  headers
FROM said
WHERE kind = 'answer' AND reply_to IS NULL;

END;
