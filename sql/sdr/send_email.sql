-- Send Email: sends what the agents wrote, each e-mail once, and not to who opted out.
-- Reads: email_campaigns. Writes: sent_emails. One row per e-mail.
-- The first e-mail of a campaign leaves at once, the second after 3 days, the third after 7.
-- The effect key is the person's address, the campaign and the step: a person who came in as two
-- leads gets each step once. A campaign without e-mails is refused, not forgotten.

CREATE TEMPORARY VIEW emails_in_order AS                       -- perceive
SELECT
  c.lead_id,
  c.campaign_type,
  e.step,
  e.`to`,
  e.subject,
  e.body,
  c.headers
FROM email_campaigns AS c
LEFT JOIN UNNEST(c.emails) WITH ORDINALITY AS e (`to`, subject, body, step) ON TRUE;

CREATE TEMPORARY VIEW emails_to_send AS                        -- decide
SELECT
  SHA256(
    CONCAT_WS('|', LOWER(TRIM(COALESCE(`to`, lead_id))), campaign_type, TRY_CAST(step AS STRING))
  ) AS effect_key,
  lead_id,
  campaign_type,
  step,
  `to`,
  subject,
  body,
  TRY_CAST(CASE step WHEN 1 THEN 0 WHEN 2 THEN 3 ELSE 7 END * 86400 AS BIGINT) AS send_after_s,
  TRY_CAST(14 * 86400 AS BIGINT) AS valid_for_s,
  child_headers(headers, 'send_email', step) AS headers
FROM emails_in_order;

CREATE TEMPORARY VIEW handled_emails AS                        -- act
SELECT * FROM send_email(input => TABLE emails_to_send PARTITION BY effect_key);

INSERT INTO sent_emails
SELECT
  lead_id,
  effect_id,
  campaign_type,
  step,
  `to`,
  subject,
  status,
  reason,
  sent_at,
  headers
FROM handled_emails;
