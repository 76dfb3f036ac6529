// Rows whose first field is their partition key in, pairs of the key's slot and the row out.
//
// What a keyed function's stream is keyed by. In Java, because in Python it was an operator of its
// own before each keyed function, with bundles that every record waited for. Compiled like Guard.java.

import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.types.Row;

public final class Slots extends AbstractStreamOperator implements OneInputStreamOperator {

    private final Object[] labels;
    private final CRC32 crc = new CRC32();

    // The references are the slots' labels: what Flink hashes.
    public Slots(
            Object[] labels,
            StreamTask task,
            StreamConfig config,
            Output output,
            ProcessingTimeService time)
            throws Exception {
        this.labels = labels;
        this.setup(task, config, output);
        this.setProcessingTimeService(time);
    }

    public void processElement(StreamRecord record) throws Exception {
        Row row = (Row) record.getValue();
        crc.reset();
        crc.update(((String) row.getField(0)).getBytes(StandardCharsets.UTF_8));
        Row pair = new Row(2);
        pair.setField(0, labels[(int) (crc.getValue() % labels.length)]);
        pair.setField(1, row);
        output.collect(record.replace(pair));
    }
}
