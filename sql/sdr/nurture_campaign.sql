-- Nurture Campaign agent: writes three e-mails to a lead that needs time.
-- Reads: leads_to_nurture. Writes: email_campaigns. One row per lead, with three e-mails in the
-- order of sending; send_email.sql says when each of them leaves.
-- The recipient is the lead's own address; the agent writes subjects and bodies, and nothing else.

CREATE TEMPORARY VIEW leads_to_warm AS                         -- perceive
SELECT
  lead_id,
  lead_data,
  lead_evaluation,
  headers
FROM leads_to_nurture;

CREATE TEMPORARY VIEW written_campaigns AS                     -- decide
SELECT * FROM run_agent(
  input => TABLE leads_to_warm PARTITION BY lead_id,
  agent => 'nurture_campaign'
);

INSERT INTO email_campaigns                                    -- act
SELECT
  lead_id,
  'nurture_campaign' AS campaign_type,
  ARRAY[
    ROW(lead_data.email, messages[1].subject, messages[1].body),
    ROW(lead_data.email, messages[2].subject, messages[2].body),
    ROW(lead_data.email, messages[3].subject, messages[3].body)
  ] AS emails,
  headers
FROM written_campaigns;
