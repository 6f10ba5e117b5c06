// Every SHOW of the console through JDBC, in each of its ways to ask: simple and extended queries, prepared
// ones with binary results, rows fetched in parts.  usage: Console HOST PORT USER DATABASE

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

public class Console {
    // What does not change between two looks at it.
    static final Set<String> STABLE =
        Set.of("HELP", "CONFIG", "VERSION", "STATE", "DATABASES", "USERS", "DNS_HOSTS", "DNS_ZONES");

    static void check(boolean good, String what) {
        if (!good)
            throw new RuntimeException(what);
    }

    // Reads each value by the type of its column.
    static List<String> read(ResultSet rows) throws SQLException {
        ResultSetMetaData about = rows.getMetaData();
        List<String> all = new ArrayList<>();
        while (rows.next()) {
            StringBuilder row = new StringBuilder();
            for (int i = 1; i <= about.getColumnCount(); i++) {
                Object value = null;
                switch (about.getColumnType(i)) {
                case Types.INTEGER:
                    value = rows.getInt(i);
                    break;
                case Types.BIGINT:
                    value = rows.getLong(i);
                    break;
                case Types.NUMERIC:
                    BigDecimal number = rows.getBigDecimal(i);
                    value = number;
                    break;
                case Types.VARCHAR:
                    value = rows.getString(i);
                    break;
                default:
                    check(false, about.getColumnName(i) + " has type " + about.getColumnTypeName(i));
                }
                row.append(rows.wasNull() ? "null" : value).append('|');
            }
            all.add(row.toString());
        }
        rows.close();
        return all;
    }

    static List<String> shows(Connection connection) throws SQLException {
        List<String> names = new ArrayList<>();
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SHOW HELP")) {
            while (rows.next()) {
                String command = rows.getString("command");
                if (command.startsWith("SHOW ") && !command.equals("SHOW variable")
                    && !rows.getString("description").contains("on the unix socket only"))
                    names.add(command.substring(5));
            }
        }
        check(names.size() > 20, "more commands in SHOW HELP: " + names);
        return names;
    }

    static void askAll(Connection connection) throws SQLException {
        for (String name : shows(connection)) {
            List<String> first = null;
            try (PreparedStatement statement = connection.prepareStatement("SHOW " + name)) {
                // The first times in text, later in binary.
                for (int i = 0; i < 4; i++) {
                    List<String> rows = read(statement.executeQuery());
                    if (first != null && STABLE.contains(name))
                        check(rows.equals(first), "SHOW " + name + ": " + rows + " after " + first);
                    first = rows;
                }
            }
            try (Statement statement = connection.createStatement()) {
                List<String> rows = read(statement.executeQuery("SHOW " + name));
                if (STABLE.contains(name))
                    check(rows.equals(first), "SHOW " + name + ": " + rows + " after " + first);
            }
        }
    }

    public static void main(String[] args) throws SQLException {
        String url = "jdbc:postgresql://" + args[0] + ":" + args[1] + "/" + args[3] + "?user=" + args[2];
        for (String mode : List.of("extended", "extendedForPrepared", "extendedCacheEverything", "simple")) {
            try (Connection c = DriverManager.getConnection(url + "&prepareThreshold=2&preferQueryMode=" + mode)) {
                askAll(c);
            }
        }
        try (Connection c = DriverManager.getConnection(url)) {
            c.setAutoCommit(false); // then rows are fetched in parts
            try (Statement statement = c.createStatement()) {
                statement.setFetchSize(10);
                check(read(statement.executeQuery("SHOW CONFIG")).size() > 90, "all of SHOW CONFIG, in parts");
            }
            c.commit();
        }
        System.out.println("done");
    }
}
