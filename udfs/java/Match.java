// Rows of a symbol's commands in, its execution reports out: the operator of match_orders.
//
// The book is that of udfs/core/order_book.py, rule by rule; tests/jobs/test_match.py sends the same
// commands through both. It is Java for the reason that Guard.java is: through Python an order costs
// ten times what matching it does. Live books are in memory. What of a book has changed goes to
// state before each checkpoint, order by order, and earlier where much has.
//
// State of a symbol, a map whose values begin with a version byte:
//     book             the last sequence number, and where everything else stands
//     o/<place>        an order that rests; places count what comes to rest
//     k/<generation>/<n>, e/<generation>/<n>
//                      hashes of order ids, and of other commands' event ids, that are known
//
// The compiler is Janino: casts are written out, there are no lambdas and no diamonds.

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryArrayData;
import org.apache.flink.table.data.binary.BinaryMapData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.data.writer.BinaryArrayWriter;
import org.apache.flink.table.runtime.operators.TableStreamOperator;

public final class Match extends TableStreamOperator implements OneInputStreamOperator {

    private static final int COMMAND = 0, ORDER_ID = 1, ACCOUNT = 2, SIDE = 3, PRICE = 4;
    private static final int LOTS = 5, FORCE = 6, HEADERS = 7, FRAME = 8;
    private static final int CHANGES_AT_ONCE = 20000;
    private static final int IDLE_BOOKS = 10000;
    private static final int ID = 0, TRACE = 3, ATTEMPT = 4, MADE = 4;
    private static final BinaryStringData[] NAMES = {
        BinaryStringData.fromString("ce_id"),
        BinaryStringData.fromString("ce_source"),
        BinaryStringData.fromString("ce_type"),
        BinaryStringData.fromString("traceparent"),
        BinaryStringData.fromString("attempt")
    };
    private static final String ZEROS = "00000000000000000000000000000000";
    private static final byte[] NOTHING = new byte[0];
    private static final byte[] SPAN = Book.bytes("span");
    private static final byte[] RUN = Book.bytes("run");

    // Columns of the input by our numbers, -1 where there is none; options; the job's name for it.
    private final int[] at;
    private final int depth;
    private final int snapshots;
    private final int remembered;
    private final String step;
    private transient Map books;
    private transient MapState state;
    private transient int changes;
    private transient MessageDigest sha256;
    private transient MessageDigest sha1;
    private transient Counter commands;
    private transient Counter trades;
    private transient Counter repeats;
    private final byte[] namespace;
    private final byte[] stepBytes;
    private final byte[] sourceBytes;
    // Of the event at hand: its headers, and where those of NAMES stand in them.
    private transient BinaryArrayData names;
    private transient byte[][] values;
    private transient int[] places;
    private transient int children;

    public Match(
            Object[] references,
            StreamTask task,
            StreamConfig config,
            Output output,
            ProcessingTimeService time)
            throws Exception {
        String[] columns = ((String) references[0]).split(",");
        this.at = new int[columns.length];
        for (int i = 0; i < at.length; i++) {
            at[i] = Integer.parseInt(columns[i]);
        }
        this.depth = ((Integer) references[1]).intValue();
        this.snapshots = ((Integer) references[2]).intValue();
        this.remembered = ((Integer) references[3]).intValue();
        this.step = (String) references[4];
        this.stepBytes = Book.bytes(step);
        this.sourceBytes = Book.bytes("tidemill:" + step);
        this.namespace = unhex((String) references[5]);
        this.setup(task, config, output);
        this.setProcessingTimeService(time);
    }

    public void open() throws Exception {
        super.open();
        books = new HashMap();
        places = new int[NAMES.length];
        sha256 = MessageDigest.getInstance("SHA-256");
        sha1 = MessageDigest.getInstance("SHA-1");
        MapStateDescriptor descriptor =
                new MapStateDescriptor(
                        "book", Types.STRING,
                        PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);
        state = getKeyedStateStore().getMapState(descriptor);
        commands = getMetricGroup().counter("commands");
        trades = getMetricGroup().counter("trades");
        repeats = getMetricGroup().counter("repeats");
    }

    public void processElement(StreamRecord record) throws Exception {
        RowData row = (RowData) record.getValue();
        Book book = book(row.getString(0).toString());
        children = 0;
        read(row.isNullAt(at[HEADERS]) ? null : row.getMap(at[HEADERS]));
        if (at[FRAME] < 0) {
            apply(book, row, 0);
            take(book);
            if (snapshots > 0
                    && book.sinceSnapshot >= Math.max(snapshots, book.orders.size() / 4)) {
                output.collect(new StreamRecord(snapshot(book, childHeaders(children))));
            }
        } else if (!row.isNullAt(at[FRAME])) {
            ArrayData frame = row.getArray(at[FRAME]);
            for (int i = 0; i < frame.size(); i++) {
                if (!frame.isNullAt(i)) {
                    apply(book, frame.getRow(i, FRAME - 1), i);
                }
            }
            take(book);
        }
        if (changes > CHANGES_AT_ONCE) {
            store();
        }
    }

    private void apply(Book book, RowData row, int index) throws Exception {
        String command = text(row, COMMAND);
        String id = text(row, ORDER_ID);
        String account = text(row, ACCOUNT);
        int before = book.changed.size();
        book.touched = true;
        commands.inc();
        if ("order".equals(command)) {
            String force = text(row, FORCE);
            long said = book.sequence;
            book.order(id, account, text(row, SIDE), !row.isNullAt(place(row, PRICE)),
                    number(row, PRICE), number(row, LOTS), force == null ? "GTC" : force);
            if (book.sequence == said) {
                repeats.inc();
            }
        } else if (isRepeat(book, index)) {
            repeats.inc();
        } else if ("cancel".equals(command)) {
            book.cancel(id, account);
        } else if ("replace".equals(command)) {
            book.replace(id, account, number(row, PRICE), number(row, LOTS));
        } else if ("end_day".equals(command)) {
            book.endDay();
        } else {
            book.say("refused", id, account, null, null, null, 0, "bad_command");
        }
        book.sinceSnapshot++;
        changes += book.changed.size() - before;
    }

    private boolean isRepeat(Book book, int index) throws Exception {
        byte[] identity = header(ID);
        if (identity.length == 0) {
            return false;
        }
        String attempt = Book.latin(header(ATTEMPT));
        long hash = Book.hash(Book.latin(identity) + "#" + attempt + "#" + index);
        if (book.events.has(hash)) {
            return true;
        }
        book.events.add(hash);
        return false;
    }

    // Of a row, by our numbers; a frame's rows have just those columns.
    private int place(RowData row, int column) {
        return at[FRAME] < 0 ? at[column] : column;
    }

    private String text(RowData row, int column) {
        int place = place(row, column);
        return place < 0 || row.isNullAt(place) ? null : row.getString(place).toString();
    }

    private Long number(RowData row, int column) {
        int place = place(row, column);
        return row.isNullAt(place) ? null : Long.valueOf(row.getLong(place));
    }

    // Hand on what a book has said: at the end of an event, and whenever it has said much.
    void take(Book book) throws Exception {
        if (at[FRAME] >= 0) {
            takeFrame(book);
            return;
        }
        for (int n = 0; n < book.reports.size(); n++) {
            GenericRowData report = (GenericRowData) book.reports.get(n);
            GenericRowData row = new GenericRowData(Book.REPORT_FIELDS + 4);
            row.setField(0, BinaryStringData.fromString(book.symbol));
            for (int i = 0; i < Book.REPORT_FIELDS; i++) {
                row.setField(i + 1, report.getField(i));
            }
            row.setField(Book.REPORT_FIELDS + 3, childHeaders(children++));
            if (!report.isNullAt(9)) {
                trades.inc();
            }
            output.collect(new StreamRecord(row));
        }
        book.reports.clear();
    }

    private void takeFrame(Book book) throws Exception {
        if (book.reports.isEmpty()) {
            return;
        }
        GenericRowData row = new GenericRowData(3);
        row.setField(0, BinaryStringData.fromString(book.symbol));
        row.setField(1, new GenericArrayData(book.reports.toArray()));
        row.setField(2, childHeaders(children++));
        output.collect(new StreamRecord(row));
        book.reports.clear();
    }

    // It goes through all orders, so a command pays for four of them at most.
    private GenericRowData snapshot(Book book, MapData headers) throws Exception {
        book.sinceSnapshot = 0;
        GenericRowData row = new GenericRowData(Book.REPORT_FIELDS + 4);
        row.setField(0, BinaryStringData.fromString(book.symbol));
        row.setField(1, Long.valueOf(book.sequence));
        row.setField(2, BinaryStringData.fromString("snapshot"));
        row.setField(9, BinaryStringData.fromString(book.digest()));
        row.setField(Book.REPORT_FIELDS + 1, Book.depth(book.bids, depth));
        row.setField(Book.REPORT_FIELDS + 2, Book.depth(book.asks, depth));
        row.setField(Book.REPORT_FIELDS + 3, headers);
        return row;
    }

    // ------------------------------------------------------------------ state

    private Book book(String symbol) throws Exception {
        Book book = (Book) books.get(symbol);
        if (book == null) {
            book = new Book(this, symbol, getCurrentKey(), remembered);
            load(book);
            books.put(symbol, book);
        }
        return book;
    }

    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        store();
    }

    private void store() throws Exception {
        Object current = getCurrentKey();
        for (Iterator i = books.values().iterator(); i.hasNext(); ) {
            Book book = (Book) i.next();
            if (book.touched) {
                setCurrentKey(book.key);
                store(book);
            } else if (books.size() > IDLE_BOOKS) {
                i.remove();
            }
        }
        changes = 0;
        if (current != null) {
            setCurrentKey(current);
        }
    }

    private void store(Book book) throws Exception {
        for (int i = 0; i < book.changed.size(); i++) {
            Order order = (Order) book.changed.get(i);
            order.changed = false;
            if (!order.gone) {
                state.put(name("o/", order.place), bytesOf(order));
            } else if (order.stored) {
                state.remove(name("o/", order.place));
            }
            order.stored = !order.gone;
        }
        book.changed = new ArrayList();
        store(book.ids);
        store(book.events);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeByte(Book.VERSION);
        out.writeLong(book.sequence);
        out.writeLong(book.place);
        out.writeLong(book.sinceSnapshot);
        state.put("book", bytes.toByteArray());
        book.touched = false;
    }

    private void store(Known known) throws Exception {
        known.seal();
        for (int i = 0; i < known.pending.size(); i++) {
            Object[] pair = (Object[]) known.pending.get(i);
            if (pair[1] == null) {
                state.remove(pair[0]);
            } else {
                state.put(pair[0], pair[1]);
            }
        }
        known.pending = new ArrayList();
    }

    // Under the book's key: all that the state has of it.
    private void load(Book book) throws Exception {
        TreeMap resting = new TreeMap();
        TreeMap ids = new TreeMap();
        TreeMap events = new TreeMap();
        for (Iterator i = state.entries().iterator(); i.hasNext(); ) {
            Map.Entry entry = (Map.Entry) i.next();
            String name = (String) entry.getKey();
            byte[] bytes = (byte[]) entry.getValue();
            if (name.startsWith("o/")) {
                Order order = order(Book.versioned(bytes, book.symbol));
                resting.put(Long.valueOf(order.place), order);
            } else if (name.equals("book")) {
                DataInputStream in = Book.versioned(bytes, book.symbol);
                book.sequence = in.readLong();
                book.place = in.readLong();
                book.sinceSnapshot = in.readLong();
            } else {
                gather(name.startsWith("k/") ? ids : events, name, bytes);
            }
        }
        for (Iterator i = resting.values().iterator(); i.hasNext(); ) {
            book.rest((Order) i.next());
        }
        book.ids.load(ids, book.symbol);
        book.events.load(events, book.symbol);
    }

    private static void gather(TreeMap generations, String name, byte[] bytes) {
        Integer generation = Integer.valueOf(name.substring(2, name.lastIndexOf('/')));
        List chunks = (List) generations.get(generation);
        if (chunks == null) {
            chunks = new ArrayList();
            generations.put(generation, chunks);
        }
        chunks.add(bytes);
    }

    private static byte[] bytesOf(Order order) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(64);
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeByte(Book.VERSION);
        out.writeLong(order.place);
        out.writeBoolean(order.buy);
        out.writeLong(order.price);
        out.writeLong(order.lots);
        String[] texts = {order.id, order.account, order.force};
        for (int i = 0; i < texts.length; i++) {
            byte[] text = Book.bytes(texts[i]);
            out.writeInt(text.length);
            out.write(text);
        }
        return bytes.toByteArray();
    }

    private static Order order(DataInputStream in) throws Exception {
        long place = in.readLong();
        boolean buy = in.readBoolean();
        long price = in.readLong();
        long lots = in.readLong();
        String[] texts = new String[3];
        for (int i = 0; i < texts.length; i++) {
            byte[] text = new byte[in.readInt()];
            in.readFully(text);
            texts[i] = new String(text, StandardCharsets.UTF_8);
        }
        Order order = new Order(texts[1], texts[0]);
        order.force = texts[2];
        order.priced = true;
        order.stored = true;
        order.place = place;
        order.buy = buy;
        order.price = price;
        order.lots = lots;
        return order;
    }

    // ---------------------------------------------------------------- headers

    // Read an event's headers: once, however many events it makes.
    private void read(MapData map) {
        ArrayData given = map == null ? null : map.keyArray();
        int count = map == null ? 0 : map.size();
        Arrays.fill(places, -1);
        for (int i = 0; i < count; i++) {
            Object name = given.getString(i);
            for (int j = 0; j < NAMES.length; j++) {
                if (NAMES[j].equals(name)) {
                    places[j] = i;
                }
            }
        }
        int all = count;
        for (int j = 0; j < MADE; j++) {
            if (places[j] < 0) {
                places[j] = all++;
            }
        }
        values = new byte[all][];
        for (int i = 0; i < count; i++) {
            values[i] = map.valueArray().isNullAt(i) ? null : map.valueArray().getBinary(i);
        }
        if (all == count && given instanceof BinaryArrayData) {
            names = (BinaryArrayData) given;
            return;
        }
        names = new BinaryArrayData();
        BinaryArrayWriter writer = new BinaryArrayWriter(names, all, 8);
        for (int i = 0; i < count; i++) {
            writer.writeString(i, given.getString(i));
        }
        for (int j = 0; j < MADE; j++) {
            if (places[j] >= count) {
                writer.writeString(places[j], NAMES[j]);
            }
        }
        writer.complete();
    }

    private byte[] header(int which) {
        byte[] value = places[which] < 0 ? null : values[places[which]];
        return value == null ? NOTHING : value;
    }

    // As udfs/core/events.py `child_headers`, of an event that a guard has identified.
    private MapData childHeaders(int index) {
        byte[] parent = header(ID);
        byte[] number = Book.bytes(Integer.toString(index));
        update(parent);
        update(stepBytes);
        update(number);
        sha1.update(namespace);
        sha1.update(Book.bytes(Book.hex(sha256.digest(), 32)));
        byte[] digest = sha1.digest();
        digest[6] = (byte) (digest[6] & 0x0f | 0x50);
        digest[8] = (byte) (digest[8] & 0x3f | 0x80);
        String id = Book.hex(digest, 16);
        String identity = id.substring(0, 8) + "-" + id.substring(8, 12) + "-"
                + id.substring(12, 16) + "-" + id.substring(16, 20) + "-" + id.substring(20);
        update(SPAN);
        update(RUN);
        update(parent);
        update(stepBytes);
        update(number);
        String span = Book.hex(sha256.digest(), 8);
        byte[] context = header(TRACE);
        String trace = context.length > 35 ? Book.latin(context).substring(3, 35) : ZEROS;
        byte[][] made = {
            Book.bytes(identity), sourceBytes, stepBytes,
            Book.bytes("00-" + trace + "-" + span + "-01")
        };
        byte[][] all = (byte[][]) values.clone();
        for (int j = 0; j < MADE; j++) {
            all[places[j]] = made[j];
        }
        BinaryArrayData array = new BinaryArrayData();
        BinaryArrayWriter writer = new BinaryArrayWriter(array, all.length, 8);
        for (int i = 0; i < all.length; i++) {
            writer.writeBinary(i, all[i] == null ? NOTHING : all[i]);
        }
        writer.complete();
        return BinaryMapData.valueOf(names, array);
    }

    private void update(byte[] part) {
        sha256.update(ByteBuffer.allocate(8).putLong(part.length).array());
        sha256.update(part);
    }

    private static String name(String prefix, long place) {
        return prefix + Long.toHexString(place);
    }

    private static byte[] unhex(String text) {
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
