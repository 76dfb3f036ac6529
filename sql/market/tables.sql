-- Topics of a market in which agents trade compute capacity: an hour of a machine is a lot, a symbol
-- is a kind of machine. A table's name is its topic's name. Columns stand in the order in which
-- scripts insert them. `headers` are the Kafka headers, which carry an event's identity (ce_id,
-- attempt, traceparent): scripts pass them through. Prices are whole ticks, cash is whole ticks, too.
-- NOT NULL is checked where a topic is read: a record that lacks such a field is a dead letter.

-- What all topics have in common.
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json',
  'key.format' = 'raw',
  'key.fields' = 'symbol',
  'value.fields-include' = 'EXCEPT_KEY'
);

-- Cash, or lots of a symbol, that an account gets from outside. Two that are byte-equal and have no
-- ce_id are one.
CREATE TABLE deposits (
  account STRING,
  cash BIGINT,
  symbol STRING,
  lots BIGINT,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: who opens accounts'
WITH ('topic' = 'deposits', 'key.fields' = 'account')
LIKE kafka_topic;

-- What an account wants: command is order, cancel or replace; side is buy or sell; time_in_force is
-- GTC (the default), DAY, IOC or FOK. No price is a market order. An order_id is used once.
CREATE TABLE orders (
  account STRING,
  symbol STRING NOT NULL,
  command STRING NOT NULL,
  order_id STRING NOT NULL,
  side STRING,
  price_ticks BIGINT,
  lots BIGINT,
  time_in_force STRING,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: anybody who trades, the agents of trade.sql among them'
WITH ('topic' = 'orders', 'key.fields' = 'account')
LIKE kafka_topic;

-- Orders that can be paid, each once: written in one transaction with the state that reserved what
-- they may cost. This is the log that the books are made of, and the only one: a second one beside it
-- could be read in another order after a failure. Who runs the market ends a symbol's trading day by a
-- record here, too: command is end_day, and DAY orders are cancelled.
CREATE TABLE orders_accepted (
  symbol STRING,
  command STRING NOT NULL,
  order_id STRING,
  account STRING,
  side STRING,
  price_ticks BIGINT,
  lots BIGINT,
  time_in_force STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH (
  'topic' = 'orders_accepted',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'market.accept_orders.accepted',
  'sink.transaction-naming-strategy' = 'pooling',
  'properties.transaction.timeout.ms' = '900000'
)
LIKE kafka_topic;

-- Orders that did not come to the book, and why. In the same transaction, like balances.
CREATE TABLE orders_refused (
  account STRING,
  symbol STRING,
  order_id STRING,
  command STRING,
  reason STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH (
  'topic' = 'orders_refused',
  'key.fields' = 'account',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'market.accept_orders.refused',
  'sink.transaction-naming-strategy' = 'pooling',
  'properties.transaction.timeout.ms' = '900000'
)
LIKE kafka_topic;

-- What an account has, after each deposit and each trade; reserved is what open orders may cost.
CREATE TABLE balances (
  account STRING,
  symbol STRING,
  cash BIGINT NOT NULL,
  reserved_cash BIGINT NOT NULL,
  position_lots BIGINT NOT NULL,
  reserved_lots BIGINT NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH (
  'topic' = 'balances',
  'key.fields' = 'account',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'market.accept_orders.balances',
  'sink.transaction-naming-strategy' = 'pooling',
  'properties.transaction.timeout.ms' = '900000'
)
LIKE kafka_topic;

-- What happened in a book. sequence counts a symbol's executions without a gap: one that comes again
-- has the same number and the same content. kind is rested, traded, replaced, cancelled or refused;
-- of a trade, maker is the order that was in the book, and the price is the maker's.
CREATE TABLE executions (
  symbol STRING,
  sequence BIGINT NOT NULL,
  kind STRING NOT NULL,
  order_id STRING,
  account STRING,
  side STRING,
  price_ticks BIGINT,
  lots BIGINT,
  remaining BIGINT,
  detail STRING,
  maker_order_id STRING,
  maker_account STRING,
  maker_remaining BIGINT,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'executions')
LIKE kafka_topic;

-- A book now and then: its best levels, and a hash of all of its orders. With the executions behind
-- its sequence number it gives the book at any moment.
CREATE TABLE book_snapshots (
  symbol STRING,
  sequence BIGINT NOT NULL,
  bids ARRAY<ROW<price_ticks BIGINT, lots BIGINT, orders INT>> NOT NULL,
  asks ARRAY<ROW<price_ticks BIGINT, lots BIGINT, orders INT>> NOT NULL,
  book_hash STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'book_snapshots')
LIKE kafka_topic;

-- Many commands on one symbol as one record, where a record a command is too slow.
CREATE TABLE order_frames (
  symbol STRING,
  orders ARRAY<ROW<
    command STRING,
    order_id STRING,
    account STRING,
    side STRING,
    price_ticks BIGINT,
    lots BIGINT,
    time_in_force STRING
  >> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: gateways, which have seen to it that orders can be paid'
WITH ('topic' = 'order_frames')
LIKE kafka_topic;

-- What a frame of commands made happen.
CREATE TABLE execution_frames (
  symbol STRING,
  reports ARRAY<ROW<
    sequence BIGINT,
    kind STRING,
    order_id STRING,
    account STRING,
    side STRING,
    price_ticks BIGINT,
    lots BIGINT,
    remaining BIGINT,
    detail STRING,
    maker_order_id STRING,
    maker_account STRING,
    maker_remaining BIGINT
  >> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'execution_frames')
LIKE kafka_topic;

-- An agent that joins: it buys up to, or sells down to, limit_ticks, lots at a time, once an
-- interval. reviewed says whether a model looks after its strategy.
CREATE TABLE traders (
  account STRING,
  symbol STRING NOT NULL,
  side STRING NOT NULL,
  limit_ticks BIGINT NOT NULL,
  lots BIGINT NOT NULL,
  interval_ms BIGINT NOT NULL,
  margin_percent INT NOT NULL,
  reviewed BOOLEAN,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: whoever lets an agent trade'
WITH ('topic' = 'traders', 'key.fields' = 'account')
LIKE kafka_topic;

-- How a reviewed agent has done since the last time.
CREATE TABLE trader_results (
  account STRING,
  symbol STRING NOT NULL,
  side STRING NOT NULL,
  limit_ticks BIGINT NOT NULL,
  margin_percent INT NOT NULL,
  orders_placed INT NOT NULL,
  orders_filled INT NOT NULL,
  lots_traded BIGINT NOT NULL,
  surplus_ticks BIGINT NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'trader_results', 'key.fields' = 'account')
LIKE kafka_topic;

-- What a model made of it: the margin that the agent goes on with.
CREATE TABLE strategy_changes (
  account STRING,
  margin_percent INT NOT NULL,
  explanation STRING,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'strategy_changes', 'key.fields' = 'account')
LIKE kafka_topic;
