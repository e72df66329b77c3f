import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.JSchException;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.SftpException;
import java.util.List;

/**
 * JSch's SFTP client on a command line: {@code HOST PORT USER PRIVATE_KEY COMMAND...}, all commands on one channel. A
 * command is one argument, its words parted by spaces. Prints one line for each: what it found, or the error's number
 * and sentence. Ends with 2 when it can't log in.
 */
final class JschClient {
    private static final int TIMEOUT_MILLIS = 120_000;

    public static void main(String[] arguments) throws JSchException {
        JSch jsch = new JSch();
        jsch.addIdentity(arguments[3]);
        Session session = jsch.getSession(arguments[2], arguments[0], Integer.parseInt(arguments[1]));
        session.setConfig("StrictHostKeyChecking", "no");
        session.setTimeout(TIMEOUT_MILLIS);
        try {
            session.connect(TIMEOUT_MILLIS);
        } catch (JSchException refused) {
            System.out.println(refused.getMessage());
            System.exit(2);
        }
        ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
        sftp.connect(TIMEOUT_MILLIS);
        for (String command : List.of(arguments).subList(4, arguments.length)) {
            try {
                System.out.println(run(sftp, command.split(" ")));
            } catch (SftpException failed) {
                System.out.println("failed: " + failed.id + " " + failed.getMessage());
            }
        }
        session.disconnect();
    }

    private static String run(ChannelSftp sftp, String[] words) throws SftpException {
        switch (words[0]) {
            case "put" -> sftp.put(words[1], words[2], ChannelSftp.OVERWRITE);
            case "resume" -> sftp.put(words[1], words[2], ChannelSftp.RESUME);
            case "append" -> sftp.put(words[1], words[2], ChannelSftp.APPEND);
            case "get" -> sftp.get(words[1], words[2]);
            case "rename" -> sftp.rename(words[1], words[2]);
            case "mkdir" -> sftp.mkdir(words[1]);
            case "rmdir" -> sftp.rmdir(words[1]);
            case "rm" -> sftp.rm(words[1]);
            case "mtime" -> sftp.setMtime(words[1], Integer.parseInt(words[2]));
            case "stat" -> {
                return sftp.stat(words[1]).getSize() + " " + sftp.stat(words[1]).getMTime();
            }
            case "ls" -> {
                return String.join(" ", sftp.ls(words[1]).stream()
                        .map(entry -> ((ChannelSftp.LsEntry) entry).getFilename()).sorted().toList());
            }
            default -> throw new IllegalArgumentException(words[0]);
        }
        return "ok";
    }
}
