-- One field more by a Python function. Reads: orders. Writes: enriched. One row per order.
CREATE TEMPORARY FUNCTION grade AS 'tests.bench.functions.grade' LANGUAGE PYTHON;

INSERT INTO enriched
SELECT order_id, customer, country, amount, items, grade(amount, country) AS grade, headers
FROM orders;
