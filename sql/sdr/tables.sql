-- Topics of the SDR team. A table's name is its topic's name; lead_id is the key of every event.
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
  'key.fields' = 'lead_id',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- A lead as it came in.
CREATE TABLE incoming_leads (
  lead_id STRING,
  lead_data ROW<
    name STRING,
    email STRING NOT NULL,
    company_name STRING,
    company_website STRING,
    job_title STRING,
    lead_source STRING,
    project_description STRING
  > NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: web forms, events and lists, or `tidemill send sdr FILE`'
WITH ('topic' = 'incoming_leads')
LIKE kafka_topic;

-- A lead with what is known about its company: `context` is a research report.
CREATE TABLE lead_ingestion_output (
  lead_id STRING,
  lead_data ROW<
    name STRING,
    email STRING NOT NULL,
    company_name STRING,
    company_website STRING,
    job_title STRING,
    lead_source STRING,
    project_description STRING
  > NOT NULL,
  context STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'lead_ingestion_output')
LIKE kafka_topic;

-- A lead with its score from 0 to 100 and its next step: Actively Engage, Nurture or Disqualify.
CREATE TABLE lead_scoring_output (
  lead_id STRING,
  lead_data ROW<
    name STRING,
    email STRING NOT NULL,
    company_name STRING,
    company_website STRING,
    job_title STRING,
    lead_source STRING,
    project_description STRING
  > NOT NULL,
  lead_evaluation ROW<
    score INT,
    next_step STRING,
    talking_points ARRAY<STRING>
  > NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'lead_scoring_output')
LIKE kafka_topic;

-- The same events again, by next step.
CREATE TABLE leads_to_activate
WITH ('topic' = 'leads_to_activate')
LIKE lead_scoring_output;

CREATE TABLE leads_to_nurture
WITH ('topic' = 'leads_to_nurture')
LIKE lead_scoring_output;

CREATE TABLE leads_disqualified
WITH ('topic' = 'leads_disqualified')
LIKE lead_scoring_output;

-- The e-mails that an agent wrote for a lead, in the order in which they are to be sent.
CREATE TABLE email_campaigns (
  lead_id STRING,
  campaign_type STRING NOT NULL,
  emails ARRAY<ROW<`to` STRING, subject STRING, body STRING>> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'email_campaigns')
LIKE kafka_topic;

-- What became of each e-mail: sent, duplicate, opted_out or parked. What was refused is a dead
-- letter.
CREATE TABLE sent_emails (
  lead_id STRING,
  effect_id STRING NOT NULL,
  campaign_type STRING,
  step INT,
  `to` STRING,
  subject STRING,
  status STRING NOT NULL,
  reason STRING,
  sent_at TIMESTAMP_LTZ(3),
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'sent_emails')
LIKE kafka_topic;
