import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The commands of a client, all on one connection. A command is one argument, its words parted by spaces. A line is
 * printed for each: its result, or its error. Local paths are those of the process's directory.
 */
interface Commands {
    void makeDirectories(String directory) throws IOException;

    void putTree(Path local, String remote) throws IOException;

    void getTree(String remote, Path local) throws IOException;

    /** All paths below a directory, in order. */
    List<String> walk(String directory) throws IOException;

    void deleteTree(String directory) throws IOException;

    void put(Path local, String remote) throws IOException;

    void get(String remote, Path local) throws IOException;

    /** A command that only this client has. */
    String other(String... words) throws Exception;

    static void run(Commands client, List<String> commands) {
        for (String command : commands) {
            try {
                System.out.println(client.run(command.split(" ")));
            } catch (Exception failed) {
                System.out.println("failed: " + failed);
            }
        }
    }

    private String run(String[] words) throws Exception {
        switch (words[0]) {
            case "makeDirectories" -> makeDirectories(words[1]);
            case "putTree" -> putTree(Path.of(words[1]), words[2]);
            case "getTree" -> getTree(words[1], Path.of(words[2]));
            case "deleteTree" -> deleteTree(words[1]);
            // The files LOCAL.0, LOCAL.1 and so on, as many as the third word says, at once on one channel.
            case "puts" -> atOnce(words, number -> put(Path.of(words[1] + "." + number), words[2] + "." + number));
            case "gets" -> atOnce(words, number -> get(words[1] + "." + number, Path.of(words[2] + "." + number)));
            case "walk" -> {
                return String.join(" ", walk(words[1]));
            }
            default -> {
                return other(words);
            }
        }
        return "ok";
    }

    private static void atOnce(String[] words, Transfer transfer) throws Exception {
        List<Callable<Void>> transfers = new ArrayList<>();
        for (int each = 0; each < Integer.parseInt(words[3]); each++) {
            int number = each;
            transfers.add(() -> {
                transfer.of(number);
                return null;
            });
        }
        atOnce(transfers);
    }

    /** Runs them all, each in a thread of its own, and fails as the first of them did. */
    static void atOnce(List<Callable<Void>> tasks) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(tasks.size());
        try {
            for (Future<Void> task : threads.invokeAll(tasks)) {
                task.get();
            }
        } finally {
            threads.shutdown();
        }
    }

    @FunctionalInterface
    interface Transfer {
        void of(int number) throws IOException;
    }
}
