-- Active Outreach agent: writes one e-mail to a lead that is ready to talk.
-- Reads: leads_to_activate. Writes: email_campaigns. One row per lead, with one e-mail.
-- The recipient is the lead's own address; the agent writes subject and body, and nothing else.

CREATE TEMPORARY VIEW leads_to_contact AS                      -- perceive
SELECT
  lead_id,
  lead_data,
  lead_evaluation,
  headers
FROM leads_to_activate;

CREATE TEMPORARY VIEW written_emails AS                        -- decide
SELECT * FROM run_agent(
  input => TABLE leads_to_contact PARTITION BY lead_id,
  agent => 'active_outreach'
);

INSERT INTO email_campaigns                                    -- act
SELECT
  lead_id,
  'active_outreach' AS campaign_type,
  ARRAY[ROW(lead_data.email, subject, body)] AS emails,
  headers
FROM written_emails;
