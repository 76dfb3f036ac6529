-- The books: price-time priority, one book a symbol.
-- Reads: orders_accepted. Writes: executions, book_snapshots.
-- One execution per thing that happens; a snapshot of a book per 100 commands, of a deep one per
-- more.

CREATE TEMPORARY VIEW commands AS                              -- perceive
SELECT symbol, command, order_id, account, side, price_ticks, lots, time_in_force, headers
FROM orders_accepted;

CREATE TEMPORARY VIEW reports AS                               -- decide
SELECT * FROM match_orders(input => TABLE commands PARTITION BY symbol, snapshots => 100);

EXECUTE STATEMENT SET                                          -- act
BEGIN
INSERT INTO executions
SELECT
  symbol,
  sequence,
  kind,
  order_id,
  account,
  side,
  price_ticks,
  lots,
  remaining,
  detail,
  maker_order_id,
  maker_account,
  maker_remaining,
  headers
FROM reports
WHERE kind <> 'snapshot';

INSERT INTO book_snapshots
SELECT symbol, sequence, bids, asks, detail AS book_hash, headers
FROM reports
WHERE kind = 'snapshot';
END;
