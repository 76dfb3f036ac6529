-- Lead Scoring agent: decides what is to be done with a lead.
-- Reads: lead_ingestion_output. Writes: lead_scoring_output, one row per scored lead, and the same
-- row to leads_to_activate, leads_to_nurture or leads_disqualified, by its next step.
-- A lead that could not be scored, or whose next step has no topic, becomes a dead letter.

CREATE TEMPORARY VIEW leads_to_score AS                        -- perceive
SELECT
  lead_id,
  lead_data,
  JSON_OBJECT(
    KEY 'lead_id' VALUE lead_id,
    KEY 'lead_data' VALUE lead_data,
    KEY 'context' VALUE context
  ) AS lead_event,
  headers
FROM lead_ingestion_output;

CREATE TEMPORARY VIEW evaluated_leads AS                       -- decide
SELECT
  lead_id,
  lead_data,
  lead_event,
  AI_COMPLETE('lead_scoring', lead_event, headers) AS evaluation,
  headers,
  child_headers(headers, 'lead_scoring', 0) AS scored_headers
FROM leads_to_score;

CREATE TEMPORARY VIEW scored_leads AS
SELECT
  lead_id,
  lead_data,
  ROW(evaluation.score, evaluation.next_step, evaluation.talking_points) AS lead_evaluation,
  evaluation.next_step AS next_step,
  scored_headers AS headers
FROM evaluated_leads
WHERE evaluation.next_step IN ('Actively Engage', 'Nurture', 'Disqualify');

CREATE TEMPORARY VIEW unscored_leads AS
SELECT
  lead_id,
  lead_event,
  COALESCE(evaluation.error.reason, 'unknown_next_step') AS reason,
  COALESCE(
    evaluation.error.message,
    CONCAT('no topic takes the next step ', COALESCE(evaluation.next_step, '(none)'))
  ) AS message,
  headers
FROM evaluated_leads
WHERE COALESCE(evaluation.next_step, '') NOT IN ('Actively Engage', 'Nurture', 'Disqualify');

EXECUTE STATEMENT SET                                          -- act
BEGIN

INSERT INTO lead_scoring_output
SELECT
  lead_id,
  lead_data,
  lead_evaluation,
  headers
FROM scored_leads;

INSERT INTO leads_to_activate
SELECT
  lead_id,
  lead_data,
  lead_evaluation,
  headers
FROM scored_leads
WHERE next_step = 'Actively Engage';

INSERT INTO leads_to_nurture
SELECT
  lead_id,
  lead_data,
  lead_evaluation,
  headers
FROM scored_leads
WHERE next_step = 'Nurture';

INSERT INTO leads_disqualified
SELECT
  lead_id,
  lead_data,
  lead_evaluation,
  headers
FROM scored_leads
WHERE next_step = 'Disqualify';

INSERT INTO dead_letters
SELECT
  ENCODE(lead_id, 'UTF-8') AS event_key,
  ENCODE(lead_event, 'UTF-8') AS payload,
  dead_letter_headers(headers, reason, message) AS headers
FROM unscored_leads;

END;
