// Commands on one symbol in, its execution reports out: the order book of Match.java.
//
// Rule by rule that of udfs/core/order_book.py, which is the specification. It knows what has changed
// since Match last wrote its state. Compiled with Match.java, as one.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.binary.BinaryStringData;

final class Order {
    String id;
    String account;
    boolean buy;
    boolean priced;
    long price;
    long lots;
    String force;
    long place;
    Level level;
    Order before;
    Order after;
    boolean gone;
    boolean stored;
    boolean changed;

    Order(String account, String id) {
        this.account = account;
        this.id = id;
    }

    // An id is its account's own: what another account calls so is another order.
    public int hashCode() {
        return 31 * id.hashCode() + account.hashCode();
    }

    public boolean equals(Object other) {
        return other instanceof Order && ((Order) other).id.equals(id)
                && ((Order) other).account.equals(account);
    }
}

// A queue: the oldest order first.
final class Level {
    long key;
    Order first;
    Order last;
}

// The last two generations of ids, as hashes. `fresh` are those that the state does not have yet,
// `pending` are pairs of a name in the state and the bytes to be there, null for none.
final class Known {
    final String prefix;
    final int most;
    long[] recent = new long[64];
    long[] older = new long[64];
    int count;
    int generation;
    int chunks;
    int olderChunks;
    List fresh = new ArrayList();
    List pending = new ArrayList();

    Known(String prefix, int most) {
        this.prefix = prefix;
        this.most = most;
    }

    boolean has(long hash) {
        return in(recent, hash) || in(older, hash);
    }

    void add(long hash) throws Exception {
        if (count >= most) {
            seal();
            for (int i = 0; i < olderChunks; i++) {
                pending.add(new Object[] {prefix + (generation - 1) + "/" + i, null});
            }
            older = recent;
            olderChunks = chunks;
            recent = new long[64];
            count = 0;
            chunks = 0;
            generation++;
        }
        put(hash);
        fresh.add(Long.valueOf(hash));
    }

    void seal() throws Exception {
        if (fresh.isEmpty()) {
            return;
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(1 + 8 * fresh.size());
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeByte(Book.VERSION);
        for (int i = 0; i < fresh.size(); i++) {
            out.writeLong(((Long) fresh.get(i)).longValue());
        }
        pending.add(new Object[] {prefix + generation + "/" + chunks, bytes.toByteArray()});
        chunks++;
        fresh = new ArrayList();
    }

    // Chunks by their names; the last generation is the recent one.
    void load(TreeMap generations, String symbol) throws Exception {
        if (generations.isEmpty()) {
            return;
        }
        generation = ((Integer) generations.lastKey()).intValue();
        List before = (List) generations.get(Integer.valueOf(generation - 1));
        if (before != null) {
            fill(before, symbol);
            older = recent;
            olderChunks = before.size();
            recent = new long[64];
            count = 0;
        }
        List last = (List) generations.get(Integer.valueOf(generation));
        fill(last, symbol);
        chunks = last.size();
    }

    private void fill(List of, String symbol) throws Exception {
        for (int i = 0; i < of.size(); i++) {
            DataInputStream in = Book.versioned((byte[]) of.get(i), symbol);
            while (in.available() > 0) {
                put(in.readLong());
            }
        }
    }

    void put(long hash) {
        if (2 * (count + 1) > recent.length) {
            long[] grown = new long[2 * recent.length];
            for (int i = 0; i < recent.length; i++) {
                if (recent[i] != 0) {
                    insert(grown, recent[i]);
                }
            }
            recent = grown;
        }
        insert(recent, hash);
        count++;
    }

    static void insert(long[] table, long hash) {
        int mask = table.length - 1;
        int i = (int) hash & mask;
        while (table[i] != 0 && table[i] != hash) {
            i = i + 1 & mask;
        }
        table[i] = hash;
    }

    static boolean in(long[] table, long hash) {
        int mask = table.length - 1;
        for (int i = (int) hash & mask; table[i] != 0; i = i + 1 & mask) {
            if (table[i] == hash) {
                return true;
            }
        }
        return false;
    }
}

final class Book {
    static final char[] HEX = "0123456789abcdef".toCharArray();
    static final long MAX = Long.MAX_VALUE;
    static final byte VERSION = 1;
    static final int REPORT_FIELDS = 12;
    static final int NAME_CHARACTERS = 200;
    static final int REPORTS_MOST = 500;  // in memory: one order may trade with a million

    final Match match;
    final String symbol;
    final Object key;
    final Known ids;
    final Known events;
    final TreeMap bids = new TreeMap();
    final TreeMap asks = new TreeMap();
    final Map orders = new HashMap();
    final List reports = new ArrayList();
    List changed = new ArrayList();
    boolean touched;
    long sequence;
    long place;
    long sinceSnapshot;

    Book(Match match, String symbol, Object key, int remembered) {
        this.match = match;
        this.symbol = symbol;
        this.key = key;
        this.ids = new Known("k/", remembered);
        this.events = new Known("e/", remembered);
    }

    void order(
            String id, String account, String side, boolean priced, Long price, Long lots,
            String force)
            throws Exception {
        String refusal = refusal(id, account, side, priced, price, lots, force);
        if (refusal != null) {
            say("refused", id, account, side, price, lots, 0, refusal);
            return;
        }
        long hash = hash(account.length() + ":" + account + id);
        Order order = new Order(account, id);
        if (ids.has(hash) || orders.containsKey(order)) {
            return;
        }
        ids.add(hash);
        order.buy = side.equals("buy");
        order.priced = priced;
        order.price = priced ? price.longValue() : 0;
        order.lots = lots.longValue();
        order.force = force;
        match(order);
    }

    void cancel(String id, String account) throws Exception {
        Order order = owned(id, account);
        if (order != null) {
            remove(order);
            cancelled(order, "requested");
        }
    }

    void replace(String id, String account, Long price, Long lots) throws Exception {
        Order old = owned(id, account);
        if (old == null) {
            return;
        }
        String side = old.buy ? "buy" : "sell";
        String refusal = price == null ? "bad_price" : null;
        if (refusal == null) {
            refusal = refusal(id, account, side, true, price, lots, old.force);
        }
        if (refusal != null) {
            say("refused", id, account, side, price, lots, 0, refusal);
            return;
        }
        say("replaced", id, account, side, price, lots, lots.longValue(), null);
        if (price.longValue() == old.price && lots.longValue() <= old.lots) {
            old.lots = lots.longValue();
            change(old);
            return;
        }
        remove(old);
        Order order = new Order(account, id);
        order.buy = old.buy;
        order.priced = true;
        order.price = price.longValue();
        order.lots = lots.longValue();
        order.force = old.force;
        match(order);
    }

    void endDay() throws Exception {
        TreeMap ending = new TreeMap();
        for (Iterator i = orders.values().iterator(); i.hasNext(); ) {
            Order order = (Order) i.next();
            if (order.force.equals("DAY")) {
                ending.put(Long.valueOf(order.place), order);
            }
        }
        for (Iterator i = ending.values().iterator(); i.hasNext(); ) {
            Order order = (Order) i.next();
            remove(order);
            cancelled(order, "end_of_day");
        }
    }

    private void match(Order order) throws Exception {
        TreeMap opposite = order.buy ? asks : bids;
        long limit = !order.priced ? MAX : order.buy ? order.price : -order.price;
        if (order.force.equals("FOK") && !canFill(opposite, order, limit)) {
            cancelled(order, "not_fillable");
            return;
        }
        while (!opposite.isEmpty()) {
            Level level = (Level) opposite.firstEntry().getValue();
            if (level.key > limit) {
                break;
            }
            Order maker = level.first;
            if (maker.account.equals(order.account)) {
                cancelled(order, "self_trade");
                return;
            }
            long traded = Math.min(order.lots, maker.lots);
            order.lots -= traded;
            maker.lots -= traded;
            if (maker.lots == 0) {
                remove(maker);
            } else {
                change(maker);
            }
            GenericRowData report =
                    report("traded", order.id, order.account, order.buy ? "buy" : "sell",
                            Long.valueOf(maker.price), Long.valueOf(traded), order.lots, null);
            report.setField(9, BinaryStringData.fromString(maker.id));
            report.setField(10, BinaryStringData.fromString(maker.account));
            report.setField(11, Long.valueOf(maker.lots));
            if (order.lots == 0) {
                return;
            }
        }
        if (!order.priced || order.force.equals("IOC")) {
            cancelled(order, "unfilled");
            return;
        }
        order.place = place++;
        rest(order);
        change(order);
        say("rested", order.id, order.account, order.buy ? "buy" : "sell",
                Long.valueOf(order.price), Long.valueOf(order.lots), order.lots, order.force);
    }

    private static boolean canFill(TreeMap opposite, Order order, long limit) {
        long lots = order.lots;
        for (Iterator i = opposite.values().iterator(); i.hasNext(); ) {
            Level level = (Level) i.next();
            if (level.key > limit) {
                return false;
            }
            for (Order maker = level.first; maker != null; maker = maker.after) {
                if (maker.account.equals(order.account)) {
                    return false;
                }
                lots -= maker.lots;
                if (lots <= 0) {
                    return true;
                }
            }
        }
        return false;
    }

    void rest(Order order) {
        TreeMap own = order.buy ? bids : asks;
        Long key = Long.valueOf(order.buy ? -order.price : order.price);
        Level level = (Level) own.get(key);
        if (level == null) {
            level = new Level();
            level.key = key.longValue();
            level.first = order;
            own.put(key, level);
        } else {
            level.last.after = order;
            order.before = level.last;
        }
        level.last = order;
        order.level = level;
        order.account = order.account.intern();
        order.force = order.force.intern();
        orders.put(order, order);
    }

    private void remove(Order order) {
        Level level = order.level;
        if (order.before == null) {
            level.first = order.after;
        } else {
            order.before.after = order.after;
        }
        if (order.after == null) {
            level.last = order.before;
        } else {
            order.after.before = order.before;
        }
        order.before = null;
        order.after = null;
        if (level.first == null) {
            (order.buy ? bids : asks).remove(Long.valueOf(level.key));
        }
        orders.remove(order);
        order.gone = true;
        change(order);
    }

    private void change(Order order) {
        if (!order.changed) {
            order.changed = true;
            changed.add(order);
        }
    }

    private Order owned(String id, String account) throws Exception {
        boolean named = account != null && id != null;
        Order order = named ? (Order) orders.get(new Order(account, id)) : null;
        if (order == null) {
            say("refused", id, account, null, null, null, 0, "unknown_order");
        }
        return order;
    }

    private void cancelled(Order order, String reason) throws Exception {
        say("cancelled", order.id, order.account, order.buy ? "buy" : "sell",
                order.priced ? Long.valueOf(order.price) : null, Long.valueOf(order.lots), 0,
                reason);
    }

    void say(
            String kind, String id, String account, String side, Long price, Long lots,
            long remaining, String detail)
            throws Exception {
        report(kind, id, account, side, price, lots, remaining, detail);
    }

    private GenericRowData report(
            String kind, String id, String account, String side, Long price, Long lots,
            long remaining, String detail)
            throws Exception {
        if (reports.size() >= REPORTS_MOST) {
            match.take(this);
        }
        GenericRowData row = new GenericRowData(REPORT_FIELDS);
        row.setField(0, Long.valueOf(++sequence));
        row.setField(1, BinaryStringData.fromString(kind));
        row.setField(2, BinaryStringData.fromString(id));
        row.setField(3, BinaryStringData.fromString(account));
        row.setField(4, BinaryStringData.fromString(side));
        row.setField(5, price);
        row.setField(6, lots);
        row.setField(7, Long.valueOf(remaining));
        row.setField(8, BinaryStringData.fromString(detail));
        reports.add(row);
        return row;
    }

    // (price_ticks, lots, orders) of the best levels; lots end at 2^63-1.
    static ArrayData depth(TreeMap side, int levels) {
        Object[] found = new Object[Math.min(levels, side.size())];
        Iterator each = side.values().iterator();
        for (int i = 0; i < found.length; i++) {
            Level level = (Level) each.next();
            long lots = 0;
            int count = 0;
            for (Order order = level.first; order != null; order = order.after) {
                lots = lots > MAX - order.lots ? MAX : lots + order.lots;
                count++;
            }
            Object[] fields = {
                Long.valueOf(Math.abs(level.key)), Long.valueOf(lots), Integer.valueOf(count)
            };
            found[i] = GenericRowData.of(fields);
        }
        return new GenericArrayData(found);
    }

    String digest() throws Exception {
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        sha.update(bytes(Long.toString(sequence)));
        TreeMap[] sides = {bids, asks};
        for (int s = 0; s < 2; s++) {
            for (Iterator i = sides[s].values().iterator(); i.hasNext(); ) {
                for (Order o = ((Level) i.next()).first; o != null; o = o.after) {
                    String[] fields = {
                        o.id, o.account, o.buy ? "buy" : "sell", Long.toString(o.price),
                        Long.toString(o.lots), o.force
                    };
                    for (int f = 0; f < fields.length; f++) {
                        byte[] text = bytes(fields[f]);
                        sha.update(bytes("\n" + text.length + ":"));
                        sha.update(text);
                    }
                }
            }
        }
        return hex(sha.digest(), 8);
    }

    // As `refusal_of` of the specification.
    static String refusal(
            String id, String account, String side, boolean priced, Long price, Long lots,
            String force) {
        if (lots == null || lots.longValue() < 1) {
            return "bad_lots";
        }
        if (priced) {
            if (price.longValue() < 1) {
                return "bad_price";
            }
            long product = price.longValue() * lots.longValue();
            if (Math.multiplyHigh(price.longValue(), lots.longValue()) != 0 || product < 0) {
                return "notional_overflow";
            }
        }
        if (!"buy".equals(side) && !"sell".equals(side)) {
            return "bad_side";
        }
        if (!force.equals("GTC") && !force.equals("DAY") && !force.equals("IOC")
                && !force.equals("FOK")) {
            return "bad_time_in_force";
        }
        if (!isName(id)) {
            return "bad_order_id";
        }
        return isName(account) ? null : "bad_account";
    }

    private static boolean isName(String text) {
        return text != null && !text.isEmpty()
                && text.codePointCount(0, text.length()) <= NAME_CHARACTERS;
    }

    // 64 bits of a text, never 0.
    static long hash(String text) {
        long hash = 0xcbf29ce484222325L;
        for (int i = 0; i < text.length(); i++) {
            hash = (hash ^ text.charAt(i)) * 0x9e3779b97f4a7c15L;
            hash ^= hash >>> 29;
        }
        hash = (hash ^ hash >>> 32) * 0xd6e8feb86659fd93L;
        hash ^= hash >>> 32;
        return hash == 0 ? 1 : hash;
    }

    static DataInputStream versioned(byte[] bytes, String symbol) throws Exception {
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
        int version = in.readByte();
        if (version != VERSION) {
            throw new IllegalStateException(
                    "the state of " + symbol + " has version " + version + ", this code reads "
                            + VERSION + ": the savepoint is newer than the job; submit the newer"
                            + " code");
        }
        return in;
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String latin(byte[] bytes) {
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    static String hex(byte[] bytes, int length) {
        char[] text = new char[2 * length];
        for (int i = 0; i < length; i++) {
            text[2 * i] = HEX[bytes[i] >> 4 & 15];
            text[2 * i + 1] = HEX[bytes[i] & 15];
        }
        return new String(text);
    }
}
