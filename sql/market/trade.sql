-- The agents: each quotes a price, asks less when it trades nothing and more when it does.
-- Reads: traders, executions, orders_refused, strategy_changes. Writes: orders, trader_results.
-- One order per agent and interval; a result per ten orders of a reviewed one. A new agent joins by
-- a record on traders.

CREATE TEMPORARY VIEW trader_events AS                         -- perceive
SELECT
  account,
  'joined' AS kind,
  JSON_OBJECT(
    KEY 'symbol' VALUE symbol,
    KEY 'side' VALUE side,
    KEY 'limit_ticks' VALUE limit_ticks,
    KEY 'lots' VALUE lots,
    KEY 'interval_ms' VALUE interval_ms,
    KEY 'margin_percent' VALUE margin_percent,
    KEY 'reviewed' VALUE reviewed
  ) AS event,
  headers
FROM traders
UNION ALL
SELECT
  party AS account,
  'executed' AS kind,
  JSON_OBJECT(
    KEY 'kind' VALUE kind,
    KEY 'sequence' VALUE sequence,
    KEY 'order_id' VALUE party_order_id,
    KEY 'price_ticks' VALUE price_ticks,
    KEY 'lots' VALUE lots,
    KEY 'remaining' VALUE party_remaining
  ) AS event,
  child_headers(headers, 'party', place) AS headers            -- a trade is an event of two accounts
FROM executions
-- Not a view for each side: what an account is told of a symbol must stay in order.
CROSS JOIN UNNEST(ARRAY[
    ROW(account, order_id, remaining, 0),
    ROW(maker_account, maker_order_id, maker_remaining, 1)
  ]) AS parties(party, party_order_id, party_remaining, place)
WHERE kind IN ('traded', 'cancelled') AND party IS NOT NULL
UNION ALL
SELECT
  account,
  'refused' AS kind,
  JSON_OBJECT(
    KEY 'order_id' VALUE order_id,
    KEY 'command' VALUE command,
    KEY 'reason' VALUE reason
  ) AS event,
  headers
FROM orders_refused
UNION ALL
SELECT
  account,
  'advised' AS kind,
  JSON_OBJECT(KEY 'margin_percent' VALUE margin_percent) AS event,
  headers
FROM strategy_changes;

CREATE TEMPORARY VIEW acted AS                                 -- decide
SELECT * FROM trade(input => TABLE trader_events PARTITION BY account);

EXECUTE STATEMENT SET                                          -- act
BEGIN
INSERT INTO orders
SELECT account, symbol, command, order_id, side, price_ticks, lots, time_in_force, headers
FROM acted
WHERE kind = 'order';

INSERT INTO trader_results
SELECT
  account,
  symbol,
  side,
  limit_ticks,
  margin_percent,
  orders_placed,
  orders_filled,
  lots_traded,
  surplus_ticks,
  headers
FROM acted
WHERE kind = 'result';
END;
