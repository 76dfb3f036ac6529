-- Worker: reads an account's website.
-- Reads: website_commands. Writes: command_results. One result per attempt.

CREATE TEMPORARY VIEW pages_wanted AS                          -- perceive
SELECT
  worker_key,
  command_id,
  reply_to,
  attempt,
  kind,
  JSON_OBJECT(KEY 'url' VALUE JSON_VALUE(input, '$.company_website')) AS input,
  headers
FROM website_commands;

CREATE TEMPORARY VIEW pages AS                                 -- decide
SELECT * FROM work(
  input => TABLE pages_wanted PARTITION BY worker_key,
  function => 'udfs.tools.web.fetch_page',
  timeout_s => 20
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
FROM pages;
