// A backend's methods in, the same out, with a commit between a write and its reply.
//
// In Java because a server asks it for each message: through JPype that was half of the server's CPU.

import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

public final class Committing implements InvocationHandler {

    private static final Set WRITES =
            new HashSet(
                    Arrays.asList(
                            new Object[] {
                                "insert", "update", "delete", "findAndModify", "findandmodify",
                                "create", "createIndexes", "drop", "dropDatabase", "dropIndexes",
                                "renameCollection"
                            }));

    private final H2Backend backend;

    public Committing(H2Backend backend) {
        this.backend = backend;
    }

    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        Object reply;
        try {
            reply = method.invoke(backend, arguments);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
        if (method.getName().equals("handleMessage") && isWrite((MongoMessage) arguments[0])) {
            backend.commit();
        }
        return reply;
    }

    private static boolean isWrite(MongoMessage message) {
        return WRITES.contains(message.getDocument().keySet().iterator().next());
    }
}
