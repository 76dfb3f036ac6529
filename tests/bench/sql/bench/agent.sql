-- One agent, one model call a row. Reads: questions. Writes: answers.
CREATE TEMPORARY VIEW asked AS
SELECT question_id, question, headers FROM questions;

CREATE TEMPORARY VIEW answered AS
SELECT * FROM run_agent(input => TABLE asked PARTITION BY question_id, agent => 'analyst');

INSERT INTO answers
SELECT question_id, summary, score, headers FROM answered;
