-- Topics of the blackboard team. A table's name is its topic's name; board_id (here: an incident) is
-- the key of every event, so all that is said on one board has one order.
-- `headers` are the Kafka headers, which carry an event's identity (ce_id, attempt, traceparent) and
-- who wrote it (ce_source): scripts pass them through.
-- NOT NULL is checked where a topic is read: a record that lacks such a field is a dead letter.

-- What all topics have in common.
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json',
  'key.format' = 'raw',
  'key.fields' = 'board_id',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- What the systems of an incident tell: kind is log (text), metric (reading, usual) or change (text).
CREATE TABLE incident_signals (
  board_id STRING,
  signal_id STRING NOT NULL,
  kind STRING NOT NULL,
  service STRING NOT NULL,
  name STRING,
  text STRING,
  reading DOUBLE,
  usual DOUBLE,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: log, metric and deployment systems, or `tidemill send blackboard FILE`'
WITH ('topic' = 'incident_signals')
LIKE kafka_topic;

-- What an agent wants to say. A null value takes back what it said of the fact. expected_version is
-- the version of its own word that it replaces (0: none), supersedes the id of an entry of its own;
-- evidence are the ids of entries that it concludes from. Who says it, the headers say. Agents of
-- other teams, and people, may write here, too.
CREATE TABLE board_updates (
  board_id STRING,
  subject STRING NOT NULL,
  predicate STRING NOT NULL,
  `value` STRING,
  confidence DOUBLE NOT NULL,
  valid_until TIMESTAMP_LTZ(3),
  expected_version INT,
  supersedes STRING,
  evidence ARRAY<STRING>,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'board_updates')
LIKE kafka_topic;

-- The board: every entry that ever came to stand on it, for ever and in order. A source's later word
-- on a fact (subject, predicate) has a higher version and takes the earlier one's place.
CREATE TABLE board (
  board_id STRING,
  entry_id STRING NOT NULL,
  source STRING NOT NULL,
  subject STRING NOT NULL,
  predicate STRING NOT NULL,
  `value` STRING,
  confidence DOUBLE NOT NULL,
  version INT NOT NULL,
  said_at TIMESTAMP_LTZ(3) NOT NULL,
  valid_until TIMESTAMP_LTZ(3),
  supersedes STRING,
  evidence ARRAY<STRING>,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'board', 'topic.config.retention.ms' = '-1')
LIKE kafka_topic;

-- Updates that did not come to stand on the board, and why: invalid_update, stale_version,
-- stale_entry, not_yours, source_full or board_full.
CREATE TABLE refused_updates (
  board_id STRING,
  update_id STRING NOT NULL,
  source STRING,
  subject STRING,
  predicate STRING,
  `value` STRING,
  reason STRING NOT NULL,
  message STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'refused_updates')
LIKE kafka_topic;

-- The board as it stands, compacted: the last word on each fact by the rule of project_facts.sql.
-- fact_id is the JSON array of board, subject and predicate. A null value: nothing stands.
CREATE TABLE board_facts (
  fact_id STRING,
  board_id STRING NOT NULL,
  subject STRING NOT NULL,
  predicate STRING NOT NULL,
  `value` STRING,
  confidence DOUBLE,
  source STRING,
  disputed BOOLEAN NOT NULL,
  said_at TIMESTAMP_LTZ(3) NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH (
  'topic' = 'board_facts',
  'key.fields' = 'fact_id',
  'topic.config.cleanup.policy' = 'compact',
  'topic.config.retention.ms' = '-1'
)
LIKE kafka_topic;
