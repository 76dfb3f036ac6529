-- Clearing: who can pay for what. An order goes on to its book only if its account can pay for all
-- of it; executions settle it.
-- Reads: deposits, orders, executions. Writes: orders_accepted, orders_refused, balances.
-- A checkpoint a second, because what is accepted appears with it: each order once, whatever is
-- killed.

SET 'execution.checkpointing.interval' = '1 s';

CREATE TEMPORARY VIEW account_events AS                        -- perceive
SELECT
  account,
  'deposited' AS kind,
  JSON_OBJECT(KEY 'cash' VALUE cash, KEY 'symbol' VALUE symbol, KEY 'lots' VALUE lots) AS event,
  headers
FROM deposits
UNION ALL
SELECT
  account,
  'ordered' AS kind,
  JSON_OBJECT(
    KEY 'symbol' VALUE symbol,
    KEY 'command' VALUE command,
    KEY 'order_id' VALUE order_id,
    KEY 'side' VALUE side,
    KEY 'price_ticks' VALUE price_ticks,
    KEY 'lots' VALUE lots,
    KEY 'time_in_force' VALUE time_in_force
  ) AS event,
  headers
FROM orders
UNION ALL
SELECT
  party AS account,
  'executed' AS kind,
  JSON_OBJECT(
    KEY 'symbol' VALUE symbol,
    KEY 'sequence' VALUE sequence,
    KEY 'kind' VALUE kind,
    KEY 'order_id' VALUE party_order_id,
    KEY 'price_ticks' VALUE price_ticks,
    KEY 'lots' VALUE lots,
    KEY 'detail' VALUE detail
  ) AS event,
  child_headers(headers, 'party', place) AS headers            -- a trade is an event of two accounts
FROM executions
-- Not a view for each side: what an account is told of a symbol must stay in order.
CROSS JOIN UNNEST(ARRAY[ROW(account, order_id, 0), ROW(maker_account, maker_order_id, 1)])
  AS parties(party, party_order_id, place)
WHERE kind <> 'rested' AND party IS NOT NULL;

CREATE TEMPORARY VIEW cleared AS                               -- decide
SELECT * FROM accept_orders(input => TABLE account_events PARTITION BY account);

EXECUTE STATEMENT SET                                          -- act
BEGIN
INSERT INTO orders_accepted
SELECT symbol, command, order_id, account, side, price_ticks, lots, time_in_force, headers
FROM cleared
WHERE kind = 'accepted';

INSERT INTO orders_refused
SELECT account, symbol, order_id, command, reason, headers
FROM cleared
WHERE kind = 'refused';

INSERT INTO balances
SELECT account, symbol, cash, reserved_cash, `position` AS position_lots, reserved_lots, headers
FROM cleared
WHERE kind = 'balance';
END;
