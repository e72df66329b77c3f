import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;

/**
 * A query by JDBC on a command line: {@code URL USER PASSWORD QUERY}. Prints a line with the names of the columns and
 * one for each row, with tabs between the columns. NULL is empty. Ends with 3 when the database refuses the query.
 */
final class JdbcQuery {
    public static void main(String[] arguments) throws SQLException {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2]);
                Statement statement = connection.createStatement()) {
            print(statement.executeQuery(arguments[3]));
        } catch (SQLException refused) {
            System.err.println(refused.getMessage());
            System.exit(3);
        }
    }

    private static void print(ResultSet rows) throws SQLException {
        ResultSetMetaData columns = rows.getMetaData();
        List<String> line = new ArrayList<>();
        for (int column = 1; column <= columns.getColumnCount(); column++) {
            line.add(columns.getColumnName(column));
        }
        System.out.println(String.join("\t", line));
        while (rows.next()) {
            line.clear();
            for (int column = 1; column <= columns.getColumnCount(); column++) {
                line.add(text(rows, column, columns.getColumnTypeName(column)));
            }
            System.out.println(String.join("\t", line));
        }
    }

    /** A time has its zone only as an {@code OffsetDateTime}. */
    private static String text(ResultSet rows, int column, String type) throws SQLException {
        if (type.equals("timestamptz")) {
            OffsetDateTime time = rows.getObject(column, OffsetDateTime.class);
            return time == null ? "" : time.toInstant().toString();
        }
        String value = rows.getString(column);
        return value == null ? "" : value;
    }
}
