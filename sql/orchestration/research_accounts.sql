-- Orchestrator: splits the question about an account into commands, joins what comes back.
-- Reads: account_objectives, command_results.
-- Writes: planning_commands, record_commands, website_commands, account_answers.
-- One answer per objective, once, whatever is lost, late or comes twice.

CREATE TEMPORARY VIEW heard AS                                 -- perceive
SELECT
  objective_id,
  CASE WHEN cancelled THEN 'cancelled' ELSE 'objective' END AS kind,
  JSON_OBJECT(
    KEY 'objective_id' VALUE objective_id,
    KEY 'input' VALUE JSON_OBJECT(
      KEY 'company_name' VALUE company_name,
      KEY 'company_website' VALUE company_website,
      KEY 'question' VALUE question
    )
  ) AS event,
  headers
FROM account_objectives
UNION ALL
SELECT
  reply_to AS objective_id,
  'result' AS kind,
  JSON_OBJECT(
    KEY 'command_id' VALUE command_id,
    KEY 'attempt' VALUE attempt,
    KEY 'status' VALUE status,
    KEY 'result' VALUE `result`,
    KEY 'reason' VALUE reason
  ) AS event,
  headers
FROM command_results;

CREATE TEMPORARY VIEW said AS                                  -- decide
SELECT * FROM orchestrate(
  input => TABLE heard PARTITION BY objective_id,
  plan => 'plan',
  kinds => 'crm, firmographics, website',
  attempts => 2,
  timeout_s => 90,
  deadline_s => 300,
  fan_out => 8
);

EXECUTE STATEMENT SET                                          -- act
BEGIN

-- The planner takes one objective after the other: its key is the objective.
INSERT INTO planning_commands
SELECT
  objective_id AS worker_key,
  command_id,
  reply_to,
  attempt,
  kind,
  worker_kind,
  input,
  headers
FROM said
WHERE kind IN ('command', 'cancelled') AND worker_kind = 'plan';

-- Look-ups need no order: a key of its own for each spreads them over all workers.
INSERT INTO record_commands
SELECT
  command_id AS worker_key,
  command_id,
  reply_to,
  attempt,
  kind,
  worker_kind,
  input,
  headers
FROM said
WHERE kind IN ('command', 'cancelled') AND worker_kind IN ('crm', 'firmographics');

-- A website is read by one worker at a time, whoever asks: its key is the site.
INSERT INTO website_commands
SELECT
  COALESCE(JSON_VALUE(input, '$.company_website'), command_id) AS worker_key,
  command_id,
  reply_to,
  attempt,
  kind,
  worker_kind,
  input,
  headers
FROM said
WHERE kind IN ('command', 'cancelled') AND worker_kind = 'website';

INSERT INTO account_answers
SELECT
  objective_id,
  status,
  input,
  `result`,
  missing,
  reason,
  headers
FROM said
WHERE kind = 'answer';

END;
