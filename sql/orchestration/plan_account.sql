-- Planner: which of our sources can answer the question?
-- Reads: planning_commands. Writes: command_results. One result per attempt.

CREATE TEMPORARY VIEW plans_wanted AS                          -- perceive
SELECT
  worker_key,
  command_id,
  reply_to,
  attempt,
  kind,
  input,
  headers
FROM planning_commands;

CREATE TEMPORARY VIEW plans AS                                 -- decide
SELECT * FROM work(
  input => TABLE plans_wanted PARTITION BY worker_key,
  agent => 'plan_account'
);

INSERT INTO command_results                                    -- act
SELECT
  reply_to,
  command_id,
  attempt,
  status,
  `result`,
  reason,
  headers
FROM plans;
