-- The strategist: a model reads how a reviewed agent has done, and sets the margin it goes on with.
-- Reads: trader_results. Writes: strategy_changes. One row per result; an agent's results are read
-- in order, and the last ones are remembered, so that advice learns from what it came to.

CREATE TEMPORARY VIEW results AS                               -- perceive
SELECT
  account,
  symbol,
  side,
  limit_ticks,
  margin_percent AS current_margin_percent,
  orders_placed,
  orders_filled,
  lots_traded,
  surplus_ticks,
  headers
FROM trader_results;

CREATE TEMPORARY VIEW advice AS                                -- decide
SELECT * FROM run_agent(input => TABLE results PARTITION BY account, agent => 'strategist');

INSERT INTO strategy_changes                                   -- act
SELECT account, margin_percent, explanation, headers
FROM advice;
