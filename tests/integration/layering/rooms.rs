//! The size of each room, which is a top-level module of `src/`: its share of the lines of code.

use super::product::{ProductFile, product};
use std::{collections::BTreeMap, path::Path};

/// The share of the lines of code that no room reaches, in percent.
const LIMIT: usize = 15;

/// The rooms over the limit, with the whole percents that they don't exceed. A room that shrinks by a percent gets the
/// lower number, so that no other room may take its place.
const LARGE_ROOMS: &[(&str, usize)] = &[];

/// The doubles for tests. They count neither as a room nor in the whole.
const DOUBLES: &str = "testing";

#[test]
fn no_room_is_too_large() {
    let faults = faults(&lines_of_rooms(&product(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))), LARGE_ROOMS);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Returns the lines of code of each room.
fn lines_of_rooms(files: &[ProductFile]) -> BTreeMap<String, usize> {
    let mut rooms = BTreeMap::new();
    for file in files {
        let room = file.path.split(['/', '.']).next().unwrap();
        if room != DOUBLES {
            *rooms.entry(room.to_owned()).or_default() += file.lines();
        }
    }
    rooms
}

/// Returns a line for each room that is too large, and for each of the `exceptions` that allows more than it needs.
fn faults(rooms: &BTreeMap<String, usize>, exceptions: &[(&str, usize)]) -> Vec<String> {
    let total: usize = rooms.values().sum();
    let mut faults = Vec::new();
    for (room, lines) in rooms {
        let exceeds = |percent: usize| lines * 100 > percent * total;
        let reaches_the_limit = lines * 100 >= LIMIT * total;
        let share = format!("{room} has {lines} of {total} lines");
        match exceptions.iter().find(|(name, _)| name == room) {
            None if reaches_the_limit => faults.push(format!("{share}: {LIMIT} % or more")),
            Some(_) if !reaches_the_limit => faults.push(format!("{share}: remove it from LARGE_ROOMS")),
            Some((_, percent)) if exceeds(*percent) => faults.push(format!("{share}: more than {percent} %")),
            Some((_, percent)) if !exceeds(percent - 1) => {
                faults.push(format!("{share}: lower it in LARGE_ROOMS to {} %", (lines * 100).div_ceil(total)));
            }
            _ => {}
        }
    }
    let absent = exceptions.iter().filter(|(room, _)| !rooms.contains_key(*room));
    faults.extend(absent.map(|(room, _)| format!("there is no {room}: remove it from LARGE_ROOMS")));
    faults
}

#[cfg(test)]
mod tests {
    use super::{super::product::product_of, *};

    /// Returns the faults of rooms with these lines.
    fn found(rooms: &[(&str, usize)], exceptions: &[(&str, usize)]) -> Vec<String> {
        let rooms = rooms.iter().map(|(room, lines)| ((*room).to_owned(), *lines)).collect();
        faults(&rooms, exceptions)
    }

    #[test]
    fn a_room_at_the_limit_is_too_large() {
        assert_eq!(found(&[("a", 149), ("b", 149), ("rest", 702)], &[("rest", 71)]), [] as [&str; 0]);
        let faults = found(&[("a", 150), ("b", 148), ("rest", 702)], &[("rest", 71)]);
        assert_eq!(faults, ["a has 150 of 1000 lines: 15 % or more"]);
    }

    #[test]
    fn an_exception_is_as_low_as_it_can_be() {
        let rooms = [("a", 203), ("rest", 797)];
        assert_eq!(found(&rooms, &[("a", 21), ("rest", 80)]), [] as [&str; 0]);
        assert_eq!(found(&rooms, &[("a", 20), ("rest", 80)]), ["a has 203 of 1000 lines: more than 20 %"]);
        assert_eq!(
            found(&rooms, &[("a", 22), ("rest", 80)]),
            ["a has 203 of 1000 lines: lower it in LARGE_ROOMS to 21 %"]
        );
    }

    #[test]
    fn an_exception_is_needed() {
        assert_eq!(
            found(&[("a", 100), ("rest", 900)], &[("a", 15), ("rest", 90), ("gone", 20)]),
            ["a has 100 of 1000 lines: remove it from LARGE_ROOMS", "there is no gone: remove it from LARGE_ROOMS"]
        );
    }

    #[test]
    fn a_room_is_a_directory_or_a_file_and_doubles_are_none() {
        let texts = [("a/mod.rs", "mod b;"), ("a/b.rs", "fn f() {\n}"), ("c.rs", "mod d;"), ("testing/d.rs", "mod e;")];
        let texts = texts.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(
            lines_of_rooms(&product_of(texts)),
            [("a", 3), ("c", 1)].map(|(room, lines)| (room.to_owned(), lines)).into()
        );
    }
}
