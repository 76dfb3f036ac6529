-- Report Writer: what was found about an account, for a person.
-- Reads: account_answers. Writes: account_reports. One report per answer that found anything.

CREATE TEMPORARY VIEW answers_to_tell AS                       -- perceive
SELECT
  objective_id,
  status,
  input,
  `result`,
  missing,
  headers
FROM account_answers
WHERE status IN ('complete', 'partial');

CREATE TEMPORARY VIEW told AS                                  -- decide
SELECT * FROM run_agent(
  input => TABLE answers_to_tell PARTITION BY objective_id,
  agent => 'write_report'
);

INSERT INTO account_reports                                    -- act
SELECT
  objective_id,
  status,
  report,
  missing,
  headers
FROM told;
