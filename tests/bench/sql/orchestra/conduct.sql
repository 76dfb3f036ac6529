-- Objectives that bring their commands. Reads: objectives, results. Writes: commands, answers.
CREATE TEMPORARY VIEW heard AS
SELECT
  objective_id,
  'objective' AS kind,
  JSON_OBJECT(
    KEY 'objective_id' VALUE objective_id,
    KEY 'commands' VALUE commands
  ) AS event,
  headers
FROM objectives
UNION ALL
SELECT
  reply_to AS objective_id,
  'result' AS kind,
  JSON_OBJECT(
    KEY 'command_id' VALUE command_id,
    KEY 'attempt' VALUE attempt,
    KEY 'status' VALUE status,
    KEY 'result' VALUE `result`
  ) AS event,
  headers
FROM results;

CREATE TEMPORARY VIEW said AS
SELECT * FROM orchestrate(
  input => TABLE heard PARTITION BY objective_id,
  timeout_s => 60
);

EXECUTE STATEMENT SET
BEGIN

INSERT INTO commands
SELECT command_id, reply_to, attempt, input, headers FROM said WHERE kind = 'command';

INSERT INTO answers
SELECT objective_id, status, `result`, headers FROM said WHERE kind = 'answer';

END;
