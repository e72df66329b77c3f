//! Circles of files inside a room: files each of which imports the next, and the last the first. An import through a
//! `pub use` counts for the file that defines the item, so that a facade is no part of a circle.

use super::{
    imports::FileGraph,
    product::{ProductFile, product},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The number of files that are too many for a circle.
const LIMIT: usize = 4;

/// The circles that are too large: the directory that all files of a circle are in, and the number of the files. A
/// circle that shrinks gets the lower number, so that it can't grow again.
const LARGE_CIRCLES: &[(&str, usize)] = &[];

/// The room whose children are rooms of their own.
const DIVIDED: &str = "sftp";

#[test]
fn no_circle_is_too_large() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found: Vec<Circle> = roots(repository)
        .iter()
        .flat_map(|root| circles(root.strip_prefix(repository).unwrap().to_str().unwrap(), &product(root)))
        .collect();
    let faults = faults(found, LARGE_CIRCLES);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Returns the directories with sources of the product: the server's, and those of the crates beside it.
fn roots(repository: &Path) -> Vec<PathBuf> {
    let crates = fs::read_dir(repository.join("crates")).into_iter().flatten();
    let mut roots = vec![repository.join("src")];
    roots.extend(crates.map(|entry| entry.unwrap().path().join("src")).filter(|path| path.is_dir()));
    roots.sort();
    roots
}

/// Files that import each other in a circle.
struct Circle {
    /// The directory that all the files are in.
    directory: String,
    files: Vec<String>,
    /// The imports that make the circle, one line each.
    imports: Vec<String>,
}

/// Returns the circles of at least [`LIMIT`] files of one room among `files`, the sources below `root`.
fn circles(root: &str, files: &[ProductFile]) -> Vec<Circle> {
    let graph = FileGraph::of(files);
    let rooms: BTreeSet<&[String]> = files.iter().map(|file| room(&file.module)).collect();
    let mut circles = Vec::new();
    for room_of_circle in rooms {
        let paths = files.iter().filter(|file| room(&file.module) == room_of_circle).map(|file| &*file.path).collect();
        for circle in graph.circles(&paths).into_iter().filter(|circle| circle.len() >= LIMIT) {
            circles.push(Circle {
                directory: format!("{root}/{}", shared_directory(&circle)),
                imports: graph.imports_among(&circle),
                files: circle.into_iter().map(str::to_owned).collect(),
            });
        }
    }
    circles
}

fn room(module: &[String]) -> &[String] {
    let steps = if module.first().is_some_and(|name| name == DIVIDED) { 2 } else { 1 };
    &module[..module.len().min(steps)]
}

/// Returns the deepest directory that has all of `paths` below it.
fn shared_directory(paths: &BTreeSet<&str>) -> String {
    let mut paths = paths.iter().map(|path| path.split('/').collect::<Vec<&str>>());
    let mut shared = paths.next().unwrap();
    shared.pop();
    for path in paths {
        let same = shared.iter().zip(&path).take_while(|(one, other)| one == other).count();
        shared.truncate(same);
    }
    shared.join("/")
}

/// Returns a line for each circle that no exception allows, and for each of the `exceptions` that allows too much.
fn faults(circles: Vec<Circle>, exceptions: &[(&str, usize)]) -> Vec<String> {
    let mut unused = exceptions.to_vec();
    let mut faults = Vec::new();
    for circle in circles {
        let size = circle.files.len();
        match unused.iter().position(|exception| *exception == (&*circle.directory, size)) {
            Some(at) => drop(unused.remove(at)),
            None => faults.push(format!(
                "{}: a circle of {size} files that LARGE_CIRCLES doesn't have: {}\n    {}",
                circle.directory,
                circle.files.join(" "),
                circle.imports.join("\n    ")
            )),
        }
    }
    faults.extend(unused.iter().map(|(directory, size)| {
        format!("{directory}: no circle has {size} files: remove it from LARGE_CIRCLES, or lower the number")
    }));
    faults
}

#[cfg(test)]
mod tests {
    use super::{super::product::product_of, *};

    fn files(texts: &[(&str, &str)]) -> Vec<ProductFile> {
        product_of(texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
    }

    /// Returns the directories and the sizes of the circles in files with these paths and texts.
    fn found(texts: &[(&str, &str)]) -> Vec<(String, usize)> {
        let circles = circles("src", &files(texts));
        circles.into_iter().map(|circle| (circle.directory, circle.files.len())).collect()
    }

    /// A circle through a `use`, a path in a signature, a path through an imported module, and `super`.
    const FOUR: [(&str, &str); 6] = [
        ("x/mod.rs", "mod a; mod b; mod c; mod y;"),
        ("x/a.rs", "use super::b::B; pub(crate) struct A;"),
        ("x/b.rs", "fn f(_: crate::x::c::C) {} pub(crate) struct B;"),
        ("x/c.rs", "use crate::x::y::d; pub struct C; fn f() { d::g() }"),
        ("x/y/mod.rs", "pub(crate) mod d;"),
        ("x/y/d.rs", "use super::super::{a::{A as Other}}; pub fn g() {}"),
    ];

    /// Returns [`FOUR`] with another text of one file.
    fn four_with(path: &str, text: &'static str) -> [(&'static str, &'static str); 6] {
        FOUR.map(|(name, before)| (name, if name == path { text } else { before }))
    }

    #[test]
    fn a_circle_of_four_files_is_found() {
        assert_eq!(found(&FOUR), [("src/x".to_owned(), 4)]);
        let imports = circles("src", &files(&FOUR)).remove(0).imports;
        assert_eq!(
            imports,
            [
                "x/a.rs -> x/b.rs: x::b::B",
                "x/b.rs -> x/c.rs: x::c::C",
                "x/c.rs -> x/y/d.rs: x::y::d, x::y::d::g",
                "x/y/d.rs -> x/a.rs: x::a::A"
            ]
        );
    }

    #[test]
    fn a_circle_of_three_files_passes() {
        let three = four_with("x/c.rs", "use super::a::A; pub struct C;");
        assert_eq!(found(&three), []);
        let graph = FileGraph::of(&files(&three));
        let paths = three.map(|(path, _)| path).into();
        assert_eq!(graph.circles(&paths), [["x/a.rs", "x/b.rs", "x/c.rs"].into()]);
    }

    #[test]
    fn tests_and_modules_of_tests_make_no_circle() {
        assert_eq!(found(&four_with("x/c.rs", "pub struct C; #[cfg(test)] mod tests { use crate::x::y::d; }")), []);
        assert_eq!(found(&four_with("x/mod.rs", "mod a; #[cfg(test)] mod b; mod c; mod y;")), []);
    }

    #[test]
    fn a_facade_makes_no_circle() {
        // Each child imports the next through the facade, and the last imports none.
        let facade = [
            ("x/mod.rs", "mod a; mod b; mod c; pub use a::A; pub(crate) use self::{b::B, c::C as D};"),
            ("x/a.rs", "use super::B; pub struct A;"),
            ("x/b.rs", "use crate::x::D; pub struct B;"),
            ("x/c.rs", "pub struct C;"),
        ];
        assert_eq!(found(&facade), []);
        let graph = FileGraph::of(&files(&facade));
        let paths = facade.map(|(path, _)| path).into();
        assert_eq!(
            graph.imports_among(&paths),
            ["x/a.rs -> x/b.rs: x::B", "x/b.rs -> x/c.rs: x::D"],
            "counts for the files that define the items"
        );
    }

    #[test]
    fn a_facade_that_uses_what_it_publishes_imports_it() {
        let users = [
            ("x/mod.rs", "mod a; mod b; mod c; pub use a::A; pub use b::B; use c::C; struct X(A, B, C); struct Y;"),
            ("x/a.rs", "use super::Y; pub struct A;"),
            ("x/b.rs", "use super::Y; pub struct B;"),
            ("x/c.rs", "use super::Y; pub struct C;"),
        ];
        assert_eq!(found(&users), [("src/x".to_owned(), 4)]);
    }

    #[test]
    fn rooms_are_apart_and_so_are_the_children_of_a_divided_one() {
        let texts = |one: &str, other: &str| {
            vec![
                (format!("{one}/a.rs"), format!("use crate::{}::b::B;", other.replace('/', "::"))),
                (format!("{other}/b.rs"), format!("use crate::{}::c::C;", one.replace('/', "::"))),
                (format!("{one}/c.rs"), format!("use crate::{}::d::D;", other.replace('/', "::"))),
                (format!("{other}/d.rs"), format!("use crate::{}::a::A;", one.replace('/', "::"))),
            ]
        };
        let found = |one: &str, other: &str| circles("src", &product_of(texts(one, other))).len();
        assert_eq!(found("x/y", "x/z"), 1);
        assert_eq!(found("x", "y"), 0);
        assert_eq!(found("sftp/wire", "sftp/channel"), 0);
    }

    #[test]
    fn exceptions_are_exact() {
        let faults = |exceptions: &[(&str, usize)]| -> Vec<String> {
            let faults = faults(circles("src", &files(&FOUR)), exceptions);
            faults.iter().map(|fault| fault.split(": ").take(2).collect::<Vec<&str>>().join(": ")).collect()
        };
        assert_eq!(faults(&[("src/x", 4)]), [] as [&str; 0]);
        assert_eq!(faults(&[]), ["src/x: a circle of 4 files that LARGE_CIRCLES doesn't have"]);
        assert_eq!(faults(&[("src/x", 4), ("src/x", 4), ("src/y", 5)]).len(), 2);
        assert_eq!(faults(&[("src/x", 5)]).len(), 2);
    }
}
