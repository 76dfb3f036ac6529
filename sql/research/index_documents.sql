-- Index documents: cuts each document into chunks, embeds those that are new, and keeps the store
-- as the document now reads.
-- Reads: source_documents. Writes: document_chunks, one row per new chunk; the collections chunks
-- and documents; and stored_documents, one row per document, once a search finds all of its chunks.
-- A chunk that cannot be embedded or stored becomes a dead letter.

CREATE TEMPORARY VIEW documents_to_index AS                    -- perceive
SELECT
  bundle_id,
  url,
  status,
  title,
  content,
  content_hash,
  headers
FROM source_documents
WHERE status IN ('document', 'unchanged', 'removed');

CREATE TEMPORARY VIEW compared_documents AS                    -- decide: which chunks are new?
SELECT * FROM diff_chunks(
  input => TABLE documents_to_index PARTITION BY (bundle_id, url),
  max_tokens => 200,
  overlap_tokens => 30
);

CREATE TEMPORARY VIEW chunk_changes AS
SELECT
  document_id,
  bundle_id,
  url,
  title,
  content_hash,
  model,
  is_changed,
  chunk_count,
  changed_count,
  removed_count,
  c.change,
  c.chunk_id,
  c.chunk_index,
  c.text,
  c.start_char,
  c.end_char,
  c.token_count,
  c.chunk_hash,
  c.embedding AS known_embedding,
  c.chunk_ids,
  headers
FROM compared_documents
CROSS JOIN UNNEST(changes) AS c (
  change, chunk_id, chunk_index, text, start_char, end_char, token_count, chunk_hash, embedding,
  chunk_ids
);

CREATE TEMPORARY VIEW embedded_chunks AS                       -- act: embed what is new
SELECT
  *,
  COALESCE(
    known_embedding,
    AI_EMBEDDING(CASE WHEN known_embedding IS NULL THEN text END)
  ) AS embedding
FROM chunk_changes;

CREATE TEMPORARY VIEW stored_chunks AS                         -- act: store, move and remove
SELECT
  *,
  STORE_ROW(
    'chunks', chunk_id, bundle_id, url, title, chunk_index, text, start_char, end_char,
    token_count, chunk_hash, model, embedding
  ) AS refused
FROM embedded_chunks
WHERE change <> 'added' OR embedding IS NOT NULL;

CREATE TEMPORARY VIEW finished_documents AS                    -- act: all its chunks are stored
SELECT
  bundle_id,
  url,
  content_hash,
  chunk_count,
  changed_count,
  removed_count,
  STORE_ROW(
    'documents', CASE WHEN is_changed THEN document_id END, bundle_id, url, title, content_hash,
    chunk_count, chunk_ids, model
  ) AS refused,
  child_headers(headers, 'stored_documents', 0) AS headers
FROM stored_chunks
WHERE change = 'done';

EXECUTE STATEMENT SET
BEGIN

INSERT INTO document_chunks
SELECT
  bundle_id,
  url,
  chunk_index,
  text,
  start_char,
  end_char,
  token_count,
  chunk_hash,
  content_hash,
  model,
  embedding,
  child_headers(headers, 'document_chunks', chunk_index) AS headers
FROM stored_chunks
WHERE change = 'added' AND refused IS NULL;

INSERT INTO stored_documents
SELECT
  bundle_id,
  url,
  content_hash,
  chunk_count,
  changed_count,
  removed_count,
  headers
FROM finished_documents
WHERE refused IS NULL;

INSERT INTO dead_letters
SELECT
  ENCODE(bundle_id, 'UTF-8') AS event_key,
  ENCODE(text, 'UTF-8') AS payload,
  dead_letter_headers(headers, 'no_embedding', CONCAT('the model takes no part of ', url)) AS headers
FROM embedded_chunks
WHERE change = 'added' AND embedding IS NULL;

INSERT INTO dead_letters
SELECT
  ENCODE(bundle_id, 'UTF-8') AS event_key,
  ENCODE(COALESCE(text, chunk_id), 'UTF-8') AS payload,
  dead_letter_headers(headers, 'unfit_document', CONCAT('chunks: ', refused)) AS headers
FROM stored_chunks
WHERE refused IS NOT NULL;

INSERT INTO dead_letters
SELECT
  ENCODE(bundle_id, 'UTF-8') AS event_key,
  ENCODE(url, 'UTF-8') AS payload,
  dead_letter_headers(headers, 'unfit_document', CONCAT('documents: ', refused)) AS headers
FROM finished_documents
WHERE refused IS NOT NULL;

END;
