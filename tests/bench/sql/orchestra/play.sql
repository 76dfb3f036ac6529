-- A worker that only computes. Reads: commands. Writes: results.
CREATE TEMPORARY VIEW to_play AS
SELECT command_id, reply_to, attempt, input, headers FROM commands;

CREATE TEMPORARY VIEW played AS
SELECT * FROM work(
  input => TABLE to_play PARTITION BY command_id,
  function => 'tests.bench.functions.square',
  inline => TRUE
);

INSERT INTO results
SELECT reply_to, command_id, attempt, status, `result`, headers FROM played;
