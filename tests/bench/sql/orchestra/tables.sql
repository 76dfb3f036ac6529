-- Topics of an orchestrator and its workers under load.
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'properties.auto.offset.reset' = 'earliest',
  'format' = 'json',
  'key.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TABLE objectives (
  objective_id STRING,
  commands STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: the load of a measurement'
WITH ('topic' = 'objectives', 'key.fields' = 'objective_id')
LIKE kafka_topic;

CREATE TABLE commands (
  command_id STRING,
  reply_to STRING NOT NULL,
  attempt INT NOT NULL,
  input STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'commands', 'key.fields' = 'command_id')
LIKE kafka_topic;

CREATE TABLE results (
  reply_to STRING,
  command_id STRING NOT NULL,
  attempt INT NOT NULL,
  status STRING NOT NULL,
  `result` STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'results', 'key.fields' = 'reply_to')
LIKE kafka_topic;

CREATE TABLE answers (
  objective_id STRING,
  status STRING NOT NULL,
  `result` STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'answers', 'key.fields' = 'objective_id')
LIKE kafka_topic;
