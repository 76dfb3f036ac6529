// Raw Kafka records in, rows of the declared table out; whatever is not one goes to the side.
//
// The guard's fast path. Flink compiles it when the job starts, as it does the code that its planner
// writes, because a round trip through Python costs a record more than everything else that happens
// to it. It knows the rules of udfs/core/decode.py and no words for them: a record that it refuses
// goes on to that code, which says why. tests/jobs/test_guard.py holds the two against each other.
//
// The compiler is Janino: casts are written out, there are no lambdas and no diamonds.

import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.metrics.Counter;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.data.binary.BinaryArrayData;
import org.apache.flink.table.data.binary.BinaryMapData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.data.writer.BinaryArrayWriter;
import org.apache.flink.table.data.utils.JoinedRowData;
import org.apache.flink.table.data.utils.ProjectedRowData;
import org.apache.flink.table.runtime.operators.TableStreamOperator;
import org.apache.flink.util.OutputTag;

public final class Guard extends TableStreamOperator implements OneInputStreamOperator {

    private static final class No extends Exception {
        No() {
            super("not a row of the table", null, false, false);
        }
    }

    private static final class Type {
        String kind;
        boolean nullable;
        int[] parameters;
        String[] names;
        Type[] parts;
        Map places = new HashMap();
    }

    private static final No NO = new No();
    private static final String VALUE = "value";
    private static final byte[] TRACE = ascii("trace");
    private static final byte[] FIRST = ascii("1");
    private static final Pattern TRACE_CONTEXT =
            Pattern.compile("[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}");
    private static final Pattern MOMENT =
            Pattern.compile(
                    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
                            + "(Z|[+-][0-9]{2}:[0-9]{2})?");
    private static final Pattern DAY = Pattern.compile("(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}");
    private static final Pattern CLOCK =
            Pattern.compile("[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?");
    private static final Pattern DECIMAL =
            Pattern.compile("-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,3})?");
    private static final DateTimeFormatter SECONDS =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss").withZone(ZoneOffset.UTC);
    private static final char[] HEX = "0123456789abcdef".toCharArray();
    private static final String[] SHORT_HEADERS = {"ce_id", "attempt", "traceparent"};
    private static final Pattern UUID =
            Pattern.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");

    private final Object[] references;
    private JsonFactory json;
    private MessageDigest sha1;
    private MessageDigest sha256;
    private Counter tombstones;
    private Type table;
    private String[] sources;
    private Map limits;
    private String topic;
    private byte[] topicBytes;
    private byte[] sourceHeader;
    private byte[] namespace;
    private OutputTag refused;
    private long lastSecond = Long.MIN_VALUE;
    private String lastSecondText;

    public Guard(
            Object[] references,
            StreamTask task,
            StreamConfig config,
            Output output,
            ProcessingTimeService time)
            throws Exception {
        this.references = references;
        this.setup(task, config, output);
        this.setProcessingTimeService(time);
    }

    // References: the declaration as JSON, and the tag of the side output.
    public void open() throws Exception {
        super.open();
        JsonNode declared = new ObjectMapper().readTree((String) references[0]);
        refused = (OutputTag) references[1];
        json = new JsonFactory();
        json.disable(JsonFactory.Feature.INTERN_FIELD_NAMES);
        sha1 = MessageDigest.getInstance("SHA-1");
        sha256 = MessageDigest.getInstance("SHA-256");
        tombstones = getMetricGroup().counter("tombstones");
        topic = declared.get("topic").asText();
        topicBytes = utf8Bytes(topic);
        sourceHeader = utf8Bytes("kafka:" + topic);
        namespace = unhex(declared.get("namespace").asText());
        table = type(declared.get("table"));
        sources = new String[table.parts.length];
        for (int i = 0; i < sources.length; i++) {
            String source = at(declared.get("sources"), i).asText();
            sources[i] = source.equals("value") ? VALUE : source;
        }
        limits = new HashMap();
        Iterator names = declared.get("limits").fieldNames();
        while (names.hasNext()) {
            String name = (String) names.next();
            limits.put(name, Long.valueOf(declared.get("limits").get(name).asLong()));
        }
    }

    private static JsonNode at(JsonNode list, int place) {
        return (JsonNode) list.get(place);
    }

    private static Type type(JsonNode node) {
        Type type = new Type();
        type.kind = node.get("kind").asText();
        type.nullable = node.get("nullable").asBoolean();
        type.parameters = new int[node.get("parameters").size()];
        for (int i = 0; i < type.parameters.length; i++) {
            type.parameters[i] = at(node.get("parameters"), i).asInt();
        }
        JsonNode parts = node.get("parts");
        type.parts = new Type[parts.size()];
        type.names = new String[parts.size()];
        for (int i = 0; i < parts.size(); i++) {
            type.parts[i] = type(at(parts, i));
            type.names[i] = at(node.get("names"), i).asText();
            type.places.put(type.names[i], Integer.valueOf(i));
        }
        return type;
    }

    // Columns of a raw row: key, value, partition, headers, offset, time.
    public void processElement(StreamRecord record) throws Exception {
        RowData raw = (RowData) record.getValue();
        if (raw.isNullAt(1)) {
            tombstones.inc();
            return;
        }
        RowData row;
        try {
            row = decoded(raw);
        } catch (No no) {
            output.collect(refused, record.replace(cut(raw)));
            return;
        }
        output.collect(record.replace(row));
    }

    // Of a key or value that is too large to be carried on, the beginning.
    private RowData cut(RowData raw) {
        byte[] key = cut(raw, 0);
        byte[] value = cut(raw, 1);
        if (key == null && value == null) {
            return raw;
        }
        GenericRowData beginnings = new GenericRowData(2);
        beginnings.setField(0, key != null || raw.isNullAt(0) ? key : raw.getBinary(0));
        beginnings.setField(1, value != null ? value : raw.getBinary(1));
        int[] rest = new int[raw.getArity() - 2];
        for (int i = 0; i < rest.length; i++) {
            rest[i] = i + 2;
        }
        return new JoinedRowData(beginnings, ProjectedRowData.from(rest).replaceRow(raw));
    }

    // Null where nothing is to be cut.
    private byte[] cut(RowData raw, int place) {
        int most = (int) limit("cut_bytes");
        byte[] whole = raw.isNullAt(place) ? null : raw.getBinary(place);
        return whole == null || whole.length <= most ? null : Arrays.copyOf(whole, most);
    }

    private RowData decoded(RowData raw) throws No {
        byte[] key = raw.isNullAt(0) ? null : raw.getBinary(0);
        byte[] value = raw.getBinary(1);
        TimestampData time = raw.isNullAt(5) ? null : raw.getTimestamp(5, 3);
        Map headers = headers(raw);
        check(key, value, headers, time);
        StringData text = BinaryStringData.fromString(utf8(key));
        GenericRowData document = document(value);
        GenericRowData row = new GenericRowData(sources.length);
        for (int i = 0; i < sources.length; i++) {
            row.setField(i, column(sources[i], document.getField(i), raw, text, time));
            if (sources[i].equals("headers")) {
                row.setField(i, identified(headers, key, value, raw, time));
            }
        }
        return row;
    }

    private Object column(
            String source, Object field, RowData raw, StringData key, TimestampData time) {
        switch (source) {
            case "value":
                return field;
            case "key":
                return key;
            case "timestamp":
                return time;
            case "partition":
                return Integer.valueOf(raw.getInt(2));
            case "offset":
                return Long.valueOf(raw.getLong(4));
            case "topic":
                return BinaryStringData.fromString(topic);
            default:
                return null;
        }
    }

    private long limit(String name) {
        return ((Long) limits.get(name)).longValue();
    }

    private void check(byte[] key, byte[] value, Map headers, TimestampData time) throws No {
        if (key == null || key.length == 0 || key.length > limit("key_bytes")) {
            throw NO;
        }
        if (value.length > limit("value_bytes") || headers.size() > limit("headers")) {
            throw NO;
        }
        long size = 0;
        Iterator entries = headers.entrySet().iterator();
        while (entries.hasNext()) {
            Map.Entry entry = (Map.Entry) entries.next();
            size += ((String) entry.getKey()).length() + ((byte[]) entry.getValue()).length;
        }
        if (size > limit("header_bytes")) {
            throw NO;
        }
        for (int i = 0; i < SHORT_HEADERS.length; i++) {
            byte[] header = (byte[]) headers.get(SHORT_HEADERS[i]);
            if (header != null && (header.length > 256 || !isAscii(header))) {
                throw NO;
            }
        }
        long latest = System.currentTimeMillis() + limit("ahead_ms");
        if (time == null
                || time.getMillisecond() < limit("earliest_ms")
                || time.getMillisecond() > latest) {
            throw NO;
        }
    }

    private static boolean isAscii(byte[] bytes) {
        for (int i = 0; i < bytes.length; i++) {
            if (bytes[i] < 0) {
                return false;
            }
        }
        return true;
    }

    // ASCII that no parser can take for UTF-16.
    private static boolean isPlain(byte[] bytes) {
        for (int i = 0; i < bytes.length; i++) {
            if (bytes[i] <= 0) {
                return false;
            }
        }
        return bytes.length > 0;
    }

    private static String utf8(byte[] bytes) throws No {
        if (isAscii(bytes)) {
            return new String(bytes, StandardCharsets.ISO_8859_1);
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException error) {
            throw NO;
        }
    }

    private GenericRowData document(byte[] value) throws No {
        try {
            JsonParser parser =
                    isPlain(value) ? json.createParser(value) : json.createParser(utf8(value));
            expect(parser.nextToken() == JsonToken.START_OBJECT);
            GenericRowData row = row(parser, table, sources);
            expect(parser.nextToken() == null);
            return row;
        } catch (IOException error) {
            throw NO;
        }
    }

    // With `sources`, fields of other columns than those of the value are none of the document's.
    private GenericRowData row(JsonParser parser, Type type, String[] sources)
            throws IOException, No {
        GenericRowData row = new GenericRowData(type.parts.length);
        boolean[] found = new boolean[type.parts.length];
        Set others = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            Integer place = (Integer) type.places.get(name);
            parser.nextToken();
            if (place != null && (sources == null || sources[place.intValue()] == VALUE)) {
                int at = place.intValue();
                expect(!found[at]);
                found[at] = true;
                row.setField(at, value(parser, type.parts[at]));
            } else {
                others = others == null ? new HashSet() : others;
                expectWhole(name);
                expect(others.add(name));
                skip(parser);
            }
        }
        for (int i = 0; i < type.parts.length; i++) {
            boolean expected = sources == null || sources[i] == VALUE;
            expect(!expected || type.parts[i].nullable || row.getField(i) != null);
        }
        return row;
    }

    // What no column asks for must be what a strict parser takes, all the same.
    private void skip(JsonParser parser) throws IOException, No {
        JsonToken token = parser.currentToken();
        if (token == JsonToken.START_ARRAY) {
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                skip(parser);
            }
        } else if (token == JsonToken.START_OBJECT) {
            Set names = new HashSet();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                expectWhole(parser.currentName());
                expect(names.add(parser.currentName()));
                parser.nextToken();
                skip(parser);
            }
        } else if (token == JsonToken.VALUE_STRING) {
            expectWhole(parser.getText());
        } else if (token == JsonToken.VALUE_NUMBER_FLOAT) {
            expect(!Double.isInfinite(Double.parseDouble(parser.getText())));
        } else {
            parser.finishToken();
        }
    }

    private Object value(JsonParser parser, Type type) throws IOException, No {
        JsonToken token = parser.currentToken();
        if (token == JsonToken.VALUE_NULL) {
            if (!type.nullable) {
                throw NO;
            }
            return null;
        }
        switch (type.kind) {
            case "STRING":
                return text(parser, token);
            case "BOOLEAN":
                expect(token == JsonToken.VALUE_TRUE || token == JsonToken.VALUE_FALSE);
                return Boolean.valueOf(token == JsonToken.VALUE_TRUE);
            case "TINYINT":
                return Byte.valueOf((byte) integer(parser, token, 8));
            case "SMALLINT":
                return Short.valueOf((short) integer(parser, token, 16));
            case "INT":
                return Integer.valueOf((int) integer(parser, token, 32));
            case "BIGINT":
                return Long.valueOf(integer(parser, token, 64));
            case "FLOAT":
                float narrow = (float) number(parser, token);
                expect(!Float.isInfinite(narrow));
                return Float.valueOf(narrow);
            case "DOUBLE":
                return Double.valueOf(number(parser, token));
            case "ROW":
                expect(token == JsonToken.START_OBJECT);
                return row(parser, type, null);
            case "ARRAY":
                expect(token == JsonToken.START_ARRAY);
                return array(parser, type.parts[0]);
            case "MAP":
                expect(token == JsonToken.START_OBJECT);
                return map(parser, type.parts[1]);
            case "DECIMAL":
                return decimal(parser, token, type);
            case "BYTES":
                expect(token == JsonToken.VALUE_STRING);
                return bytes(parser.getText());
            default:
                expect(token == JsonToken.VALUE_STRING);
                return time(parser.getText(), type);
        }
    }

    private static void expect(boolean holds) throws No {
        if (!holds) {
            throw NO;
        }
    }

    private static StringData text(JsonParser parser, JsonToken token)
            throws IOException, No {
        expect(token == JsonToken.VALUE_STRING);
        return whole(parser.getText());
    }

    private static StringData whole(String text) throws No {
        expectWhole(text);
        return BinaryStringData.fromString(text);
    }

    // A lone surrogate is no text.
    private static void expectWhole(String text) throws No {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isSurrogate(c)) {
                expect(Character.isHighSurrogate(c) && i + 1 < text.length());
                expect(Character.isLowSurrogate(text.charAt(++i)));
            }
        }
    }

    // 7.0 is an integer, 7.5 is none; nor is 1e300, whose digits are not known.
    private static long integer(JsonParser parser, JsonToken token, int bits)
            throws IOException, No {
        long found;
        if (token == JsonToken.VALUE_NUMBER_INT) {
            expect(parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER);
            found = parser.getLongValue();
        } else {
            expect(token == JsonToken.VALUE_NUMBER_FLOAT);
            double number = Double.parseDouble(parser.getText());
            expect(Math.abs(number) < 9007199254740992.0 && number == Math.rint(number));
            found = (long) number;
        }
        expect(bits == 64 || found >= -(1L << (bits - 1)) && found < 1L << (bits - 1));
        return found;
    }

    private static double number(JsonParser parser, JsonToken token)
            throws IOException, No {
        expect(token == JsonToken.VALUE_NUMBER_INT || token == JsonToken.VALUE_NUMBER_FLOAT);
        double number = Double.parseDouble(parser.getText());
        expect(!Double.isInfinite(number));
        return token == JsonToken.VALUE_NUMBER_INT ? number + 0.0 : number;
    }

    private GenericArrayData array(JsonParser parser, Type item) throws IOException, No {
        List items = new ArrayList();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            items.add(value(parser, item));
        }
        return new GenericArrayData(items.toArray());
    }

    private GenericMapData map(JsonParser parser, Type item) throws IOException, No {
        Map entries = new HashMap();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            StringData name = whole(parser.currentName());
            expect(!entries.containsKey(name));
            parser.nextToken();
            entries.put(name, value(parser, item));
        }
        return new GenericMapData(entries);
    }

    private static DecimalData decimal(JsonParser parser, JsonToken token, Type type)
            throws IOException, No {
        expect(token.isNumeric() || token == JsonToken.VALUE_STRING);
        String text = parser.getText();
        expect(text.length() < 100 && DECIMAL.matcher(text).matches());
        BigDecimal number = new BigDecimal(text);
        expect(Math.abs(number.scale()) < 100);
        BigDecimal rounded = number.setScale(type.parameters[1], RoundingMode.HALF_EVEN);
        expect(rounded.compareTo(number) == 0 && rounded.precision() <= type.parameters[0]);
        return DecimalData.fromBigDecimal(rounded, type.parameters[0], type.parameters[1]);
    }

    private static byte[] bytes(String text) throws No {
        expect(text.length() % 4 == 0);
        try {
            return Base64.getDecoder().decode(text);
        } catch (IllegalArgumentException error) {
            throw NO;
        }
    }

    private static Object time(String text, Type type) throws No {
        try {
            if (type.kind.equals("DATE")) {
                expect(DAY.matcher(text).matches());
                return Integer.valueOf((int) LocalDate.parse(text).toEpochDay());
            }
            if (type.kind.equals("TIME")) {
                expect(CLOCK.matcher(text).matches());
                return Integer.valueOf((int) (LocalTime.parse(text).toNanoOfDay() / 1000000));
            }
            Matcher matcher = MOMENT.matcher(text);
            expect(matcher.matches());
            boolean zoned = matcher.group(2) != null;
            String local = zoned ? text.substring(0, matcher.start(2)) : text;
            LocalDateTime moment = LocalDateTime.parse(local);
            int unit = (int) Math.pow(10, 9 - type.parameters[0]);
            moment = moment.withNano(moment.getNano() / unit * unit);
            if (zoned && type.kind.equals("TIMESTAMP_LTZ")) {
                moment = moment.minusSeconds(ZoneOffset.of(matcher.group(2)).getTotalSeconds());
            }
            expect(moment.getYear() > 0 && moment.getYear() < 10000);
            return TimestampData.fromLocalDateTime(moment);
        } catch (DateTimeException error) {
            throw NO;
        }
    }

    // The last of a name, null as empty.
    private static Map headers(RowData raw) {
        Map found = new HashMap();
        if (!raw.isNullAt(3)) {
            MapData map = raw.getMap(3);
            ArrayData names = map.keyArray();
            ArrayData values = map.valueArray();
            for (int i = 0; i < map.size(); i++) {
                byte[] value = values.isNullAt(i) ? new byte[0] : values.getBinary(i);
                found.put(names.getString(i).toString(), value);
            }
        }
        return found;
    }

    // As udfs/core/events.py `identified` completes them.
    private MapData identified(
            Map headers, byte[] key, byte[] value, RowData raw, TimestampData time) {
        byte[] identity = (byte[]) headers.get("ce_id");
        if (identity == null || identity.length == 0) {
            identity = ascii(eventId(key, value));
            headers.put("ce_id", identity);
        }
        headers.putIfAbsent("ce_source", sourceHeader);
        headers.putIfAbsent("ce_type", topicBytes);
        if (!headers.containsKey("ce_time")) {
            headers.put("ce_time", ascii(rfc3339(time.getMillisecond())));
        }
        headers.putIfAbsent("attempt", FIRST);
        byte[] trace = (byte[]) headers.get("traceparent");
        headers.put("traceparent", ascii(traceparent(trace, latin(identity))));
        String place = topic + "/" + raw.getInt(2) + "/" + raw.getLong(4);
        headers.put("source", utf8Bytes(place));
        return binary(headers);
    }

    // As a map of bytes, which the operators behind copy as a whole.
    private static BinaryMapData binary(Map headers) {
        BinaryArrayData names = new BinaryArrayData();
        BinaryArrayData values = new BinaryArrayData();
        BinaryArrayWriter nameWriter = new BinaryArrayWriter(names, headers.size(), 8);
        BinaryArrayWriter valueWriter = new BinaryArrayWriter(values, headers.size(), 8);
        Iterator entries = headers.entrySet().iterator();
        for (int i = 0; entries.hasNext(); i++) {
            Map.Entry entry = (Map.Entry) entries.next();
            nameWriter.writeString(i, BinaryStringData.fromString((String) entry.getKey()));
            valueWriter.writeBinary(i, (byte[]) entry.getValue());
        }
        nameWriter.complete();
        valueWriter.complete();
        return BinaryMapData.valueOf(names, values);
    }

    // Many records come within one second, and formatting is slow.
    private String rfc3339(long milliseconds) {
        long second = Math.floorDiv(milliseconds, 1000L);
        if (second != lastSecond) {
            lastSecond = second;
            lastSecondText = SECONDS.format(Instant.ofEpochSecond(second));
        }
        int rest = (int) (milliseconds - 1000L * second);
        String digits = rest < 10 ? ".00" : rest < 100 ? ".0" : ".";
        return lastSecondText + digits + rest + "+00:00";
    }

    // An id that is a UUID is the trace's id, too.
    private String traceparent(byte[] given, String identity) {
        if (given != null) {
            Matcher matcher = TRACE_CONTEXT.matcher(latin(given));
            if (matcher.matches() && !zeros(matcher.group(1)) && !zeros(matcher.group(2))) {
                return "00-" + matcher.group(1) + "-" + matcher.group(2) + "-01";
            }
        }
        String digits =
                UUID.matcher(identity).matches()
                        ? identity.replace("-", "")
                        : traceDigits(identity);
        return "00-" + digits + "-" + digits.substring(16) + "-01";
    }

    private static boolean zeros(String digits) {
        for (int i = 0; i < digits.length(); i++) {
            if (digits.charAt(i) != '0') {
                return false;
            }
        }
        return true;
    }

    // RFC 4122's UUIDv5 of topic, key and value.
    private String eventId(byte[] key, byte[] value) {
        sha1.update(namespace);
        update(sha1, topicBytes);
        update(sha1, key);
        update(sha1, value);
        byte[] digest = sha1.digest();
        digest[6] = (byte) (digest[6] & 0x0f | 0x50);
        digest[8] = (byte) (digest[8] & 0x3f | 0x80);
        String text = hex(digest, 16);
        return text.substring(0, 8) + "-" + text.substring(8, 12) + "-" + text.substring(12, 16)
                + "-" + text.substring(16, 20) + "-" + text.substring(20);
    }

    private static void update(MessageDigest digest, byte[] part) {
        digest.update(ByteBuffer.allocate(8).putLong(part.length).array());
        digest.update(part);
    }

    private String traceDigits(String identity) {
        update(sha256, TRACE);
        update(sha256, ascii(identity));
        return hex(sha256.digest(), 16);
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static byte[] utf8Bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String latin(byte[] bytes) {
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    private static String hex(byte[] bytes, int length) {
        char[] text = new char[2 * length];
        for (int i = 0; i < length; i++) {
            text[2 * i] = HEX[bytes[i] >> 4 & 15];
            text[2 * i + 1] = HEX[bytes[i] & 15];
        }
        return new String(text);
    }

    private static byte[] unhex(String text) {
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
