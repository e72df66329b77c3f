"""Programs that read the ledger's views, as reports do: unixODBC's isql with Debian's drivers, and JDBC."""

from pathlib import Path

from . import programs

JAR = Path("/usr/share/java/postgresql.jar")
SOURCE = Path(__file__).resolve().parents[1] / "java" / "JdbcQuery.java"
# A column of a row may hold blanks and commas, but no tab.
DELIMITER = "\t"


class Refused(Exception):
    """The database refused the query."""


class Odbc:
    """A data source with these settings of its driver."""

    def __init__(self, home, **settings):
        self.home, self.ini = home, home / "odbc.ini"
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        self.ini.write_text(f"[report]\n{lines}")

    def rows(self, query):
        """Returns the rows of a query, as dictionaries of texts."""
        arguments = ["isql", "report", "-v", "-b", "-c", f"-d{DELIMITER}"]
        # A query is a line.
        done = programs.run(arguments, self.home, stdin=" ".join(query.split()) + "\n", ODBCINI=str(self.ini))
        # isql ends with 0 after an error, too.
        if "[ISQL]ERROR" in done.stdout + done.stderr:
            raise Refused(done.stdout + done.stderr)
        return table(done.stdout)


class Jdbc:
    """PostgreSQL's driver, through tests/clients/java/JdbcQuery.java."""

    def __init__(self, home, url, user, password):
        self.home, self.arguments = home, ["java", "-cp", JAR, SOURCE, url, user, password]

    def rows(self, query):
        """Returns the rows of a query, as dictionaries of texts."""
        try:
            done = programs.run([*self.arguments, query], self.home)
        except AssertionError as error:
            raise Refused(str(error)) from None
        return table(done.stdout)


def table(output):
    """Returns the lines of an output whose first line has the names of the columns."""
    names, *rows = (line.split(DELIMITER) for line in output.splitlines() if line)
    return [dict(zip(names, row, strict=True)) for row in rows]
