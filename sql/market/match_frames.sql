-- The same books for many commands a record: a frame in, a frame of what it made happen out.
-- Reads: order_frames. Writes: execution_frames. One row per frame, more where one makes over
-- five hundred executions happen.

CREATE TEMPORARY VIEW frames AS                                -- perceive
SELECT symbol, orders, headers
FROM order_frames;

CREATE TEMPORARY VIEW answered AS                              -- decide
SELECT * FROM match_orders(input => TABLE frames PARTITION BY symbol);

INSERT INTO execution_frames                                   -- act
SELECT symbol, reports, headers
FROM answered;
