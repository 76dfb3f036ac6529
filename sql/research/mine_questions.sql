-- Question mining: what does each source let somebody ask?
-- Reads: source_documents. Writes: mined_questions, dead_letters. One row per document and content.
-- A model that fails does not hold its bundle up: the document then has no questions, and a dead
-- letter says why.

CREATE TEMPORARY VIEW documents AS                             -- perceive
SELECT
  bundle_id,
  url,
  content_hash,
  JSON_OBJECT(KEY 'title' VALUE title, KEY 'text' VALUE content) AS document,
  headers
FROM source_documents
WHERE status = 'document';

CREATE TEMPORARY VIEW read_documents AS                        -- decide
SELECT
  bundle_id,
  url,
  content_hash,
  document,
  AI_COMPLETE('mine_questions', document, headers) AS reply,
  headers
FROM documents;

BEGIN STATEMENT SET;                                           -- act

INSERT INTO mined_questions
SELECT
  bundle_id,
  url,
  content_hash,
  COALESCE(reply.questions, ARRAY['']) AS questions,
  child_headers(headers, 'mine_questions', 0) AS headers
FROM read_documents;

INSERT INTO dead_letters
SELECT
  ENCODE(bundle_id, 'UTF-8') AS event_key,
  ENCODE(JSON_OBJECT(KEY 'url' VALUE url, KEY 'content_hash' VALUE content_hash), 'UTF-8') AS payload,
  dead_letter_headers(headers, reply.error.reason, reply.error.message) AS headers
FROM read_documents
WHERE reply.error.reason IS NOT NULL;

END;
