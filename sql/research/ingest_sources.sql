-- Ingest: visits the sources of a bundle, and what those list: entries of feeds, files of folders.
-- Reads: research_requests, found_sources. Writes: source_documents, one row per visit;
-- found_sources, one row per entry of a listing, which this job reads again.
-- A visit that found nothing is a row of source_documents and a dead letter, too.

CREATE TEMPORARY VIEW named_sources AS                         -- perceive
SELECT
  r.bundle_id,
  s.url,
  s.kind AS asked_kind,
  child_headers(r.headers, 'named_sources', s.place) AS headers
FROM research_requests AS r
CROSS JOIN UNNEST(r.sources) WITH ORDINALITY AS s (url, kind, place);

CREATE TEMPORARY VIEW sources AS
SELECT
  bundle_id,
  url,
  asked_kind,
  CAST(NULL AS STRING) AS parent_url,
  CAST(NULL AS STRING) AS listed_title,
  CAST(NULL AS TIMESTAMP_LTZ(3)) AS listed_at,
  0 AS depth,
  headers
FROM named_sources
UNION ALL
SELECT
  bundle_id,
  url,
  kind AS asked_kind,
  parent_url,
  title AS listed_title,
  published_at AS listed_at,
  depth,
  headers
FROM found_sources;

CREATE TEMPORARY VIEW visited_sources AS                       -- decide
SELECT * FROM ingest_source(input => TABLE sources PARTITION BY url);

EXECUTE STATEMENT SET                                          -- act
BEGIN

INSERT INTO source_documents
SELECT
  bundle_id,
  url,
  kind,
  parent_url,
  status,
  title,
  published_at,
  content,
  content_hash,
  found_urls,
  reason,
  message,
  child_headers(headers, 'source_documents', edition) AS headers
FROM visited_sources;

INSERT INTO found_sources
SELECT
  v.bundle_id,
  e.url,
  e.kind,
  v.url AS parent_url,
  e.title,
  e.published_at,
  v.depth + 1 AS depth,
  child_headers(v.headers, 'found_sources', e.number) AS headers
FROM visited_sources AS v
CROSS JOIN UNNEST(v.entries) AS e (url, kind, title, published_at, number);

INSERT INTO dead_letters
SELECT
  ENCODE(url, 'UTF-8') AS event_key,
  ENCODE(
    JSON_OBJECT(
      KEY 'bundle_id' VALUE bundle_id,
      KEY 'url' VALUE url,
      KEY 'kind' VALUE asked_kind,
      KEY 'parent_url' VALUE parent_url
    ),
    'UTF-8'
  ) AS payload,
  dead_letter_headers(headers, reason, message) AS headers
FROM visited_sources
WHERE status = 'failed';

END;
