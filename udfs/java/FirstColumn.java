// A row in, a row of its first column out: what a Java operator's stream is keyed by.
//
// In binary form, because Flink assigns keys by their hash, and that of other rows differs between
// processes. Compiled like Guard.java.

import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.data.writer.BinaryRowWriter;
import org.apache.flink.table.runtime.generated.Projection;

public final class FirstColumn implements Projection {

    private final BinaryRowData key = new BinaryRowData(1);
    private final BinaryRowWriter writer = new BinaryRowWriter(key);

    public FirstColumn(Object[] references) {}

    public RowData apply(RowData row) {
        writer.reset();
        writer.writeString(0, row.getString(0));
        writer.complete();
        return key;
    }
}
