-- Topics of the bench; a key of its own for every row.
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json',
  'key.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TABLE questions (
  question_id STRING,
  question STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: the load of a measurement'
WITH ('topic' = 'questions', 'key.fields' = 'question_id')
LIKE kafka_topic;

CREATE TABLE answers (
  question_id STRING,
  summary STRING,
  score BIGINT,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'answers', 'key.fields' = 'question_id')
LIKE kafka_topic;

-- The jobs on orders run side by side, each on topics of its own.
CREATE TABLE orders (
  order_id STRING,
  customer STRING NOT NULL,
  country STRING NOT NULL,
  amount DOUBLE NOT NULL,
  items ARRAY<ROW<sku STRING, pieces INT>>,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: the load of a measurement'
WITH (
  'topic' = 'orders_${BENCH_JOB}',
  'key.fields' = 'order_id',
  'properties.group.id' = '${BENCH_JOB}',
  'properties.auto.offset.reset' = 'earliest'
)
LIKE kafka_topic;

CREATE TABLE enriched (
  order_id STRING,
  customer STRING,
  country STRING,
  amount DOUBLE,
  items ARRAY<ROW<sku STRING, pieces INT>>,
  grade STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'enriched_${BENCH_JOB}', 'key.fields' = 'order_id')
LIKE kafka_topic;
