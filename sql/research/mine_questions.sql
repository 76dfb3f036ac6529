-- Question mining: what does each source let somebody ask?
-- Reads: source_documents. Writes: mined_questions, dead_letters. One row per document and content.
-- A model that fails does not hold its bundle up: the document then has no questions, and a dead
-- letter says why.

CREATE TEMPORARY VIEW documents_to_mine AS                     -- perceive
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
  AI_COMPLETE('mine_questions', document, headers) AS reply,
  headers,
  child_headers(headers, 'mine_questions', 0) AS mined_headers
FROM documents_to_mine;

CREATE TEMPORARY VIEW unread_documents AS
SELECT
  bundle_id,
  CONCAT(url, ' ', content_hash) AS document,
  COALESCE(reply.error.reason, 'unknown') AS reason,
  COALESCE(reply.error.message, '') AS message,
  headers
FROM read_documents
WHERE COALESCE(reply.error.reason, '') <> '';

EXECUTE STATEMENT SET                                          -- act
BEGIN

INSERT INTO mined_questions
SELECT
  bundle_id,
  url,
  content_hash,
  COALESCE(reply.questions, ARRAY['']) AS questions,           -- SQL has no empty array; '' is dropped
  mined_headers AS headers
FROM read_documents;

INSERT INTO dead_letters
SELECT
  ENCODE(bundle_id, 'UTF-8') AS event_key,
  ENCODE(document, 'UTF-8') AS payload,
  dead_letter_headers(headers, reason, message) AS headers
FROM unread_documents;

END;
