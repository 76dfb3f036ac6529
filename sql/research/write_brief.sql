-- Research agent: writes the brief of each version of a bundle, from passages of its own sources.
-- Reads: bundle_versions. Writes: research_briefs. One row per version.
-- The agent plans searches and writes statements with citations; compose_brief checks every citation
-- against the passages that its searches returned, and makes the Markdown.

CREATE TEMPORARY VIEW bundles_to_write AS                      -- perceive
SELECT
  bundle_id,
  topic,
  guest_name,
  company,
  questions_wanted,
  version,
  expected,
  arrived,
  sources,
  missing,
  changes,
  questions AS mined_questions,
  headers
FROM bundle_versions;

CREATE TEMPORARY VIEW bundles_with_sources AS
SELECT
  *
FROM bundles_to_write
WHERE arrived > 0;

CREATE TEMPORARY VIEW written_briefs AS                        -- decide
SELECT * FROM run_agent(
  input => TABLE bundles_with_sources PARTITION BY bundle_id,
  agent => 'write_brief'
);

CREATE TEMPORARY VIEW composed_briefs AS
SELECT
  bundle_id,
  version,
  compose_brief(
    ROW(topic, guest_name, company, version, questions_wanted, expected),
    sources, missing, changes, mined_questions,
    sections, questions, passages
  ) AS composed,
  headers
FROM written_briefs
UNION ALL
SELECT
  bundle_id,
  version,
  brief_of_nothing(
    ROW(topic, guest_name, company, version, questions_wanted, expected), missing
  ) AS composed,
  child_headers(headers, 'write_brief', 0) AS headers
FROM bundles_to_write
WHERE arrived = 0;

INSERT INTO research_briefs                                    -- act
SELECT
  bundle_id,
  version,
  composed.brief,
  composed.questions,
  composed.citations,
  composed.coverage,
  headers
FROM composed_briefs;
