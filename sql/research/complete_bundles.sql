-- Completion: when is a bundle ready to be written about?
-- Reads: research_requests, source_documents, stored_documents, mined_questions.
-- Writes: bundle_versions. One row per version of a bundle.
-- Version 1 is fired once all sources, those that a listing found among them, are read, stored and
-- mined, or have failed, or at the deadline; what comes or changes later makes the next version.

CREATE TEMPORARY VIEW bundle_events AS                         -- perceive
SELECT
  bundle_id,
  'requested' AS kind,
  JSON_OBJECT(
    KEY 'topic' VALUE topic,
    KEY 'guest_name' VALUE guest_name,
    KEY 'company' VALUE company,
    KEY 'sources' VALUE sources,
    KEY 'questions_wanted' VALUE questions_wanted,
    KEY 'deadline_s' VALUE deadline_s
  ) AS event,
  headers
FROM research_requests
UNION ALL
SELECT
  bundle_id,
  'checked' AS kind,
  JSON_OBJECT(
    KEY 'url' VALUE url,
    KEY 'kind' VALUE kind,
    KEY 'status' VALUE status,
    KEY 'title' VALUE title,
    KEY 'content_hash' VALUE content_hash,
    KEY 'found_urls' VALUE found_urls,
    KEY 'reason' VALUE reason
  ) AS event,
  headers
FROM source_documents
UNION ALL
SELECT
  bundle_id,
  'stored' AS kind,
  JSON_OBJECT(
    KEY 'url' VALUE url,
    KEY 'content_hash' VALUE content_hash,
    KEY 'chunk_count' VALUE chunk_count,
    KEY 'changed_count' VALUE changed_count
  ) AS event,
  headers
FROM stored_documents
UNION ALL
SELECT
  bundle_id,
  'mined' AS kind,
  JSON_OBJECT(
    KEY 'url' VALUE url,
    KEY 'content_hash' VALUE content_hash,
    KEY 'questions' VALUE questions
  ) AS event,
  headers
FROM mined_questions;

CREATE TEMPORARY VIEW ready_bundles AS                         -- decide
SELECT * FROM complete_bundle(input => TABLE bundle_events PARTITION BY bundle_id);

INSERT INTO bundle_versions                                    -- act
SELECT
  bundle_id,
  topic,
  guest_name,
  company,
  questions_wanted,
  version,
  complete,
  expected,
  arrived,
  sources,
  missing,
  changes,
  questions,
  headers
FROM ready_bundles;
