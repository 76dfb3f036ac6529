-- The leaves of the tree: one agent, of whom each analyst is a role.
-- Reads: analyst_commands. Writes: node_results. One result per attempt.

CREATE TEMPORARY VIEW assignments AS                           -- perceive
SELECT
  worker,
  command_id,
  reply_to,
  attempt,
  kind,
  JSON_VALUE(input, '$.about') AS about,
  JSON_VALUE(input, '$.company') AS company,
  JSON_VALUE(input, '$.dossier') AS dossier,
  headers
FROM analyst_commands;

CREATE TEMPORARY VIEW findings AS                              -- decide
SELECT * FROM work(
  input => TABLE assignments PARTITION BY worker,
  agent => 'analyst'
);

INSERT INTO node_results                                       -- act
SELECT
  reply_to,
  command_id,
  attempt,
  status,
  `result`,
  CAST(NULL AS ARRAY<ROW<step STRING, reason STRING>>) AS missing,
  reason,
  headers
FROM findings;
