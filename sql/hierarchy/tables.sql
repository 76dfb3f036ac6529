-- Topics of the due diligence tree. A node hears of everything on one topic, in order: who joined it
-- or left it, objectives, cancellations. So the log, not the moment, says who was there when an
-- objective came. `headers` carry an event's identity, and how deep in the tree it is: scripts pass
-- them through.

-- What all topics have in common.
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json',
  'key.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- The registry of the tree, and what its nodes are asked. kind is joined (member_id, member_kind
-- `node` or `analyst`, about), left (member_id), objective or cancelled (objective_id, input).
-- reply_to is the node that waits for the answer; none where a person asked.
CREATE TABLE node_events (
  node_id STRING,
  kind STRING NOT NULL,
  member_id STRING,
  member_kind STRING,
  about STRING,
  objective_id STRING,
  input STRING,
  reply_to STRING,
  attempt INT,
  deadline_s INT,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: `tidemill send hierarchy FILE`; nodes ask their members here, too'
WITH ('topic' = 'node_events', 'key.fields' = 'node_id')
LIKE kafka_topic;

-- Commands to the leaves of the tree; kind is command, or cancelled: then it is taken back.
CREATE TABLE analyst_commands (
  worker STRING,
  command_id STRING NOT NULL,
  reply_to STRING NOT NULL,
  attempt INT NOT NULL,
  kind STRING NOT NULL,
  input STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'analyst_commands', 'key.fields' = 'worker')
LIKE kafka_topic;

-- What became of commands, of leaves and of nodes; `missing` are the parts that a node did not get.
CREATE TABLE node_results (
  reply_to STRING,
  command_id STRING NOT NULL,
  attempt INT NOT NULL,
  status STRING NOT NULL,
  `result` STRING,
  missing ARRAY<ROW<step STRING, reason STRING>>,
  reason STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'node_results', 'key.fields' = 'reply_to')
LIKE kafka_topic;

-- The answers of the roots, to whoever asked.
CREATE TABLE case_answers (
  objective_id STRING,
  node_id STRING NOT NULL,
  status STRING NOT NULL,
  input STRING,
  `result` STRING,
  missing ARRAY<ROW<step STRING, reason STRING>>,
  reason STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'case_answers', 'key.fields' = 'objective_id')
LIKE kafka_topic;
