"""The rows of the bench's table."""

from dataclasses import dataclass

HEAD = ("row", "alone", "attacked", "limit", "")


@dataclass
class Result:
    """One row: the figures as text, and the attack's own counts in `note`."""

    row: str
    alone: str
    attacked: str
    limit: str
    is_ok: bool
    note: str = ""

    def cells(self):
        return self.row, self.alone, self.attacked, self.limit, "pass" if self.is_ok else "FAIL"


def failed(row, limit, why):
    return Result(row, "", "", limit, False, why)


def show(results):
    """Prints the table and its last line. Returns the number of rows that failed."""
    lines = [HEAD, *(result.cells() for result in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    notes = ["achieved", *(result.note for result in results)]
    for line, note in zip(lines, notes):
        print("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), note]).rstrip())
    missed = sum(not result.is_ok for result in results)
    print(f"{len(results) - missed} passed, {missed} failed", flush=True)
    return missed
