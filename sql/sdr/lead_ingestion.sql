-- Lead Ingestion agent: finds out who a lead is.
-- Reads: incoming_leads. Writes: lead_ingestion_output. One row per lead.

CREATE TEMPORARY VIEW leads_to_research AS                     -- perceive
SELECT
  lead_id,
  lead_data,
  headers
FROM incoming_leads;

CREATE TEMPORARY VIEW researched_leads AS                      -- decide
SELECT * FROM run_agent(
  input => TABLE leads_to_research PARTITION BY lead_id,
  agent => 'lead_ingestion'
);

INSERT INTO lead_ingestion_output                              -- act
SELECT
  lead_id,
  lead_data,
  context,
  headers
FROM researched_leads;
