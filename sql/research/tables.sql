-- Topics of the research team. A table's name is its topic's name; bundle_id, the name of a set of
-- sources that a brief is to be made of, is the key of every event.
-- Columns stand in the order in which scripts insert them. `headers` are the Kafka headers, which
-- carry an event's identity (ce_id, attempt, traceparent): scripts pass them through.
-- NOT NULL is checked where a topic is read: a record that lacks such a field is a dead letter.

-- What all topics have in common.
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json',
  'key.format' = 'raw',
  'key.fields' = 'bundle_id',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- What somebody wants to know, and where to look. A source's kind is page, feed, podcast, folder,
-- file, transcript or episode; null means: find out. The same bundle_id again visits all again.
CREATE TABLE research_requests (
  bundle_id STRING,
  topic STRING NOT NULL,
  guest_name STRING,
  company STRING,
  sources ARRAY<ROW<url STRING NOT NULL, kind STRING>> NOT NULL,
  questions_wanted INT,
  deadline_s INT,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: `tidemill research TOPIC SOURCE…`'
WITH ('topic' = 'research_requests')
LIKE kafka_topic;

-- A source that another one lists: an entry of a feed, a file of a folder.
CREATE TABLE found_sources (
  bundle_id STRING,
  url STRING NOT NULL,
  kind STRING,
  parent_url STRING NOT NULL,
  title STRING,
  published_at TIMESTAMP_LTZ(3),
  depth INT NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'found_sources')
LIKE kafka_topic;

-- What one visit of one source came to. status is document (with its text), unchanged, listing
-- (found_urls are its entries), removed or failed (with a reason).
CREATE TABLE source_documents (
  bundle_id STRING,
  url STRING NOT NULL,
  kind STRING,
  parent_url STRING,
  status STRING NOT NULL,
  title STRING,
  published_at TIMESTAMP_LTZ(3),
  content STRING,
  content_hash STRING,
  found_urls ARRAY<STRING>,
  reason STRING,
  message STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'source_documents')
LIKE kafka_topic;

-- A piece of a document as a search finds it: its text, where it stands in the document (in
-- characters), and its embedding by the named model.
CREATE TABLE document_chunks (
  bundle_id STRING,
  url STRING NOT NULL,
  chunk_index INT NOT NULL,
  text STRING NOT NULL,
  start_char INT NOT NULL,
  end_char INT NOT NULL,
  token_count INT NOT NULL,
  chunk_hash STRING NOT NULL,
  content_hash STRING NOT NULL,
  model STRING NOT NULL,
  embedding ARRAY<FLOAT> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'document_chunks')
LIKE kafka_topic;

-- A version of a document all of whose chunks a search finds now, and none of an older one.
CREATE TABLE stored_documents (
  bundle_id STRING,
  url STRING NOT NULL,
  content_hash STRING,
  chunk_count INT NOT NULL,
  changed_count INT NOT NULL,
  removed_count INT NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'stored_documents')
LIKE kafka_topic;

-- Questions that a version of a document answers or raises.
CREATE TABLE mined_questions (
  bundle_id STRING,
  url STRING NOT NULL,
  content_hash STRING,
  questions ARRAY<STRING> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'mined_questions')
LIKE kafka_topic;

-- A bundle that a brief can be written of: all of its sources have arrived or failed, or its time is
-- over. `changes` tells what differs from the version before (added, changed with how many passages
-- are new, removed, missing), `questions` are the mined ones.
-- Written in one transaction with the state that says so: each version once, whatever is killed.
CREATE TABLE bundle_versions (
  bundle_id STRING,
  topic STRING NOT NULL,
  guest_name STRING,
  company STRING,
  questions_wanted INT,
  version INT NOT NULL,
  complete BOOLEAN NOT NULL,
  expected INT NOT NULL,
  arrived INT NOT NULL,
  sources ARRAY<ROW<url STRING, title STRING, kind STRING>> NOT NULL,
  missing ARRAY<ROW<url STRING, reason STRING>> NOT NULL,
  changes ARRAY<ROW<url STRING, what STRING>> NOT NULL,
  questions ARRAY<STRING> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH (
  'topic' = 'bundle_versions',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'research.complete_bundles',
  'sink.transaction-naming-strategy' = 'pooling',
  'properties.transaction.timeout.ms' = '900000'
)
LIKE kafka_topic;

-- The brief of a version, in Markdown, with its questions and everything that it cites: what holds
-- has a number, what was dropped has none. `coverage` counts sources, statements and what is
-- missing.
CREATE TABLE research_briefs (
  bundle_id STRING,
  version INT NOT NULL,
  brief STRING NOT NULL,
  questions ARRAY<STRING> NOT NULL,
  citations ARRAY<ROW<
    number INT,
    url STRING,
    title STRING,
    chunk_id STRING,
    quote STRING,
    verified BOOLEAN
  >> NOT NULL,
  coverage ROW<
    expected INT,
    arrived INT,
    cited INT,
    claims INT,
    claims_proven INT,
    claims_doubtful INT,
    claims_without_source INT,
    citations_dropped INT,
    missing ARRAY<ROW<url STRING, reason STRING>>
  >,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'research_briefs')
LIKE kafka_topic;

-- The store that a search looks into: the chunks of all documents as they now read. A row of
-- nothing but its key removes a chunk; one without text moves it.
CREATE TABLE chunks (
  chunk_id STRING,
  bundle_id STRING,
  url STRING,
  title STRING,
  chunk_index INT,
  text STRING,
  start_char INT,
  end_char INT,
  token_count INT,
  chunk_hash STRING,
  model STRING,
  embedding ARRAY<FLOAT>,
  PRIMARY KEY (chunk_id) NOT ENFORCED
) WITH (
  'connector' = 'mongodb',
  'collection' = 'chunks',
  'sink.delete-when-null' = 'chunk_index'
);

-- The documents of the store, each written after its chunks; a search notices changes by stored_at.
CREATE TABLE documents (
  document_id STRING,
  bundle_id STRING,
  url STRING,
  title STRING,
  content_hash STRING,
  chunk_count INT,
  chunk_ids ARRAY<STRING>,
  model STRING,
  stored_at TIMESTAMP_LTZ(3),
  PRIMARY KEY (document_id) NOT ENFORCED
) WITH (
  'connector' = 'mongodb',
  'collection' = 'documents',
  'sink.current-date' = 'stored_at'
);
