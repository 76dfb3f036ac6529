-- Workers of two kinds in one job: our CRM and the firmographics.
-- Reads: record_commands. Writes: command_results. One result per attempt.

CREATE TEMPORARY VIEW crm_commands AS                          -- perceive
SELECT
  worker_key,
  command_id,
  reply_to,
  attempt,
  kind,
  JSON_OBJECT(KEY 'company_name' VALUE JSON_VALUE(input, '$.company_name')) AS input,
  headers
FROM record_commands
WHERE worker_kind = 'crm';

CREATE TEMPORARY VIEW firmographics_commands AS
SELECT
  worker_key,
  command_id,
  reply_to,
  attempt,
  kind,
  JSON_OBJECT(KEY 'company_name' VALUE JSON_VALUE(input, '$.company_name')) AS input,
  headers
FROM record_commands
WHERE worker_kind = 'firmographics';

CREATE TEMPORARY VIEW accounts AS                              -- decide
SELECT * FROM work(
  input => TABLE crm_commands PARTITION BY worker_key,
  function => 'udfs.tools.crm.look_up_account',
  timeout_s => 10
);

CREATE TEMPORARY VIEW firmographics AS
SELECT * FROM work(
  input => TABLE firmographics_commands PARTITION BY worker_key,
  function => 'udfs.tools.crm.look_up_firmographics',
  timeout_s => 10
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
FROM accounts
UNION ALL
SELECT
  reply_to,
  command_id,
  attempt,
  status,
  `result`,
  reason,
  headers
FROM firmographics;
