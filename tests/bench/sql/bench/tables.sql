-- Topics of the bench: questions in, answers out; a key of its own for every row.
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json',
  'key.format' = 'raw',
  'key.fields' = 'question_id',
  'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TABLE questions (
  question_id STRING,
  question STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: the load of a measurement'
WITH ('topic' = 'questions')
LIKE kafka_topic;

CREATE TABLE answers (
  question_id STRING,
  summary STRING,
  score BIGINT,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'answers')
LIKE kafka_topic;
