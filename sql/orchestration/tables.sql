-- Topics of the account research team. objective_id is the key of what is wanted and of its answer;
-- a command's key is chosen by the script that publishes it (worker_key), a result's is reply_to,
-- the key of the orchestrator that waits for it.
-- `headers` are the Kafka headers, which carry an event's identity: scripts pass them through.

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

-- An account that somebody wants to know about; the same objective_id, cancelled, takes it back.
CREATE TABLE account_objectives (
  objective_id STRING,
  company_name STRING,
  company_website STRING,
  question STRING,
  cancelled BOOLEAN,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: `tidemill send orchestration FILE`'
WITH ('topic' = 'account_objectives', 'key.fields' = 'objective_id')
LIKE kafka_topic;

-- Commands, one topic for each kind of worker: who plans, who looks records up, who reads websites.
-- kind is command, or cancelled: then the command of that id is taken back.
CREATE TABLE planning_commands (
  worker_key STRING,
  command_id STRING NOT NULL,
  reply_to STRING NOT NULL,
  attempt INT NOT NULL,
  kind STRING NOT NULL,
  worker_kind STRING NOT NULL,
  input STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'planning_commands', 'key.fields' = 'worker_key')
LIKE kafka_topic;

CREATE TABLE record_commands
WITH ('topic' = 'record_commands')
LIKE planning_commands;

CREATE TABLE website_commands
WITH ('topic' = 'website_commands')
LIKE planning_commands;

-- What became of each attempt at a command: done with a result, or failed with a reason.
CREATE TABLE command_results (
  reply_to STRING,
  command_id STRING NOT NULL,
  attempt INT NOT NULL,
  status STRING NOT NULL,
  `result` STRING,
  reason STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'command_results', 'key.fields' = 'reply_to')
LIKE kafka_topic;

-- One answer to each objective: complete, partial, failed or cancelled; `result` is a JSON object
-- of the steps' results.
CREATE TABLE account_answers (
  objective_id STRING,
  status STRING NOT NULL,
  input STRING NOT NULL,
  `result` STRING,
  missing ARRAY<ROW<step STRING, reason STRING>>,
  reason STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'account_answers', 'key.fields' = 'objective_id')
LIKE kafka_topic;

-- The answer as a person reads it.
CREATE TABLE account_reports (
  objective_id STRING,
  status STRING NOT NULL,
  report STRING NOT NULL,
  missing ARRAY<ROW<step STRING, reason STRING>>,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'account_reports', 'key.fields' = 'objective_id')
LIKE kafka_topic;
