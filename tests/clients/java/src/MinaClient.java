import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.keyverifier.AcceptAllServerKeyVerifier;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.sftp.client.SftpClient;
import org.apache.sshd.sftp.client.SftpClientFactory;
import org.apache.sshd.sftp.client.fs.SftpFileSystem;

/**
 * Apache MINA's SFTP client on a command line: {@code HOST PORT USER PRIVATE_KEY COMMAND...}. See {@link Commands}.
 * Directories and {@code channel} are its file system's, of {@code java.nio.file}; the rest is one client's.
 */
final class MinaClient implements Commands {
    private static final Duration TIMEOUT = Duration.ofMinutes(2);

    private final SftpClient client;
    private final SftpFileSystem files;

    private MinaClient(SftpClient client, SftpFileSystem files) {
        this.client = client;
        this.files = files;
    }

    public static void main(String[] arguments) throws Exception {
        SshClient ssh = SshClient.setUpDefaultClient();
        ssh.setServerKeyVerifier(AcceptAllServerKeyVerifier.INSTANCE);
        ssh.setKeyIdentityProvider(new FileKeyPairProvider(Path.of(arguments[3])));
        ssh.start();
        try (ClientSession session = ssh.connect(arguments[2], arguments[0], Integer.parseInt(arguments[1]))
                .verify(TIMEOUT).getSession()) {
            session.auth().verify(TIMEOUT);
            SftpClientFactory factory = SftpClientFactory.instance();
            try (SftpClient client = factory.createSftpClient(session);
                    SftpFileSystem files = factory.createSftpFileSystem(session)) {
                Commands.run(new MinaClient(client, files), List.of(arguments).subList(4, arguments.length));
            }
        }
        ssh.stop();
    }

    @Override
    public void makeDirectories(String directory) throws IOException {
        Files.createDirectories(files.getPath(directory));
    }

    @Override
    public void putTree(Path local, String remote) throws IOException {
        copy(local, files.getPath(remote));
    }

    @Override
    public void getTree(String remote, Path local) throws IOException {
        copy(files.getPath(remote), local);
    }

    @Override
    public List<String> walk(String directory) throws IOException {
        Path root = files.getPath(directory);
        try (Stream<Path> found = Files.walk(root)) {
            return found.filter(path -> !path.equals(root))
                    .map(path -> root.relativize(path).toString()).sorted().toList();
        }
    }

    @Override
    public void deleteTree(String directory) throws IOException {
        Files.walkFileTree(files.getPath(directory), new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path left, IOException failed) throws IOException {
                Files.delete(left);
                return FileVisitResult.CONTINUE;
            }
        });
    }

    @Override
    public void put(Path local, String remote) throws IOException {
        try (OutputStream to = client.write(remote)) {
            Files.copy(local, to);
        }
    }

    @Override
    public void get(String remote, Path local) throws IOException {
        try (InputStream from = client.read(remote)) {
            Files.copy(from, local);
        }
    }

    @Override
    public String other(String... words) throws Exception {
        return switch (words[0]) {
            case "beside" -> readBesideDownloads(words[1], List.of(words).subList(2, words.length));
            case "channels" -> openChannelsBesideReaders(words[1]);
            default -> throw new IllegalArgumentException(words[0]);
        };
    }

    /**
     * READs one by one on a channel that may write, while the same client downloads other files. Gives how many failed.
     */
    private String readBesideDownloads(String changed, List<String> downloaded) throws Exception {
        AtomicBoolean done = new AtomicBoolean();
        List<Callable<Void>> downloads = new ArrayList<>();
        for (String file : downloaded) {
            downloads.add(() -> {
                while (!done.get()) {
                    try (InputStream from = client.read(file)) {
                        from.transferTo(OutputStream.nullOutputStream());
                    }
                }
                return null;
            });
        }
        int[] failed = {0};
        downloads.add(() -> {
            try (FileChannel channel = client.openRemoteFileChannel(
                    changed, SftpClient.OpenMode.Read, SftpClient.OpenMode.Write)) {
                for (int at = 0; at < 60; at++) {
                    ByteBuffer one = ByteBuffer.allocate(1);
                    try {
                        if (channel.read(one, at) != 1 || one.get(0) != (byte) at) {
                            failed[0]++;
                        }
                    } catch (IOException busy) {
                        failed[0]++;
                    }
                }
            } finally {
                done.set(true);
            }
            return null;
        });
        Commands.atOnce(downloads);
        return failed[0] + " failed";
    }

    /**
     * Two channels that may write, and readers that come and go beside them: nothing is an upload before its first
     * WRITE. Gives the milliseconds that the readers took.
     */
    private String openChannelsBesideReaders(String name) throws IOException {
        Path path = files.getPath(name);
        try (FileChannel one = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE);
                FileChannel two = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            long began = System.nanoTime();
            for (int reader = 0; reader < 20; reader++) {
                try (FileChannel beside = FileChannel.open(path, StandardOpenOption.READ)) {
                    for (FileChannel channel : List.of(beside, one, two)) {
                        ByteBuffer first = ByteBuffer.allocate(5);
                        channel.read(first, 0);
                        if (!new String(first.array()).equals("as it")) {
                            return "read " + new String(first.array());
                        }
                    }
                }
            }
            long millis = (System.nanoTime() - began) / 1_000_000;
            two.write(ByteBuffer.wrap("AS".getBytes()), 0);
            return Long.toString(millis);
        }
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> found = Files.walk(from)) {
            for (Path path : found.toList()) {
                Path target = to.resolve(from.relativize(path).toString());
                if (Files.isDirectory(path)) {
                    Files.createDirectories(target);
                } else {
                    Files.copy(path, target);
                }
            }
        }
    }
}
