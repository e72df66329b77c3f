import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import net.schmizz.sshj.SSHClient;
import net.schmizz.sshj.sftp.OpenMode;
import net.schmizz.sshj.sftp.RemoteFile;
import net.schmizz.sshj.sftp.RemoteResourceInfo;
import net.schmizz.sshj.sftp.SFTPClient;
import net.schmizz.sshj.transport.verification.PromiscuousVerifier;

/** sshj's SFTP client on a command line: {@code HOST PORT USER PRIVATE_KEY COMMAND...}. See {@link Commands}. */
final class SshjClient implements Commands {
    private static final int TIMEOUT_MILLIS = 120_000;

    private final SFTPClient sftp;

    private SshjClient(SFTPClient sftp) {
        this.sftp = sftp;
    }

    public static void main(String[] arguments) throws Exception {
        try (SSHClient ssh = new SSHClient()) {
            ssh.addHostKeyVerifier(new PromiscuousVerifier());
            ssh.setConnectTimeout(TIMEOUT_MILLIS);
            ssh.setTimeout(TIMEOUT_MILLIS);
            ssh.connect(arguments[0], Integer.parseInt(arguments[1]));
            ssh.authPublickey(arguments[2], arguments[3]);
            try (SFTPClient sftp = ssh.newSFTPClient()) {
                Commands.run(new SshjClient(sftp), List.of(arguments).subList(4, arguments.length));
            }
        }
    }

    @Override
    public void makeDirectories(String directory) throws IOException {
        sftp.mkdirs(directory);
    }

    @Override
    public void putTree(Path local, String remote) throws IOException {
        sftp.put(local.toString(), remote);
    }

    @Override
    public void getTree(String remote, Path local) throws IOException {
        sftp.get(remote, local.toString());
    }

    @Override
    public List<String> walk(String directory) throws IOException {
        List<String> found = new ArrayList<>();
        for (RemoteResourceInfo entry : sftp.ls(directory)) {
            found.add(entry.getName());
            if (entry.isDirectory()) {
                walk(entry.getPath()).forEach(below -> found.add(entry.getName() + "/" + below));
            }
        }
        return found.stream().sorted().toList();
    }

    @Override
    public void deleteTree(String directory) throws IOException {
        for (RemoteResourceInfo entry : sftp.ls(directory)) {
            if (entry.isDirectory()) {
                deleteTree(entry.getPath());
            } else {
                sftp.rm(entry.getPath());
            }
        }
        sftp.rmdir(directory);
    }

    @Override
    public void put(Path local, String remote) throws IOException {
        sftp.put(local.toString(), remote);
    }

    @Override
    public void get(String remote, Path local) throws IOException {
        sftp.get(remote, local.toString());
    }

    @Override
    public String other(String... words) throws Exception {
        switch (words[0]) {
            case "readAll" -> {
                try (RemoteFile file = sftp.open(words[1]); InputStream from = file.new RemoteFileInputStream()) {
                    Files.write(Path.of(words[2]), from.readAllBytes());
                }
            }
            case "readAhead" -> {
                try (RemoteFile file = sftp.open(words[1], EnumSet.of(OpenMode.READ, OpenMode.WRITE));
                        InputStream from = file.new ReadAheadRemoteFileInputStream(256);
                        OutputStream to = Files.newOutputStream(Path.of(words[2]))) {
                    byte[] block = new byte[32_768];
                    for (int length; (length = from.read(block)) != -1;) {
                        to.write(block, 0, length);
                    }
                }
            }
            case "putFrom" -> sftp.put(words[1], words[2], Long.parseLong(words[3]));
            default -> throw new IllegalArgumentException(words[0]);
        }
        return "ok";
    }
}
