//! The imports between the product's files, from their `use` items and from the paths in their code.

use super::product::{ProductFile, is};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// A module, or a path from the crate's root.
type ModulePath = Vec<String>;

/// Which file imports which.
pub struct FileGraph {
    /// The imports by the importing and the imported file, with the paths that name them.
    imports: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// A path through which code names an item or a module.
struct NamedPath {
    /// The path from the crate's root.
    names: ModulePath,
    /// The name that the item has in this file.
    alias: String,
    is_public: bool,
}

/// The files of the crate by their modules, and the items that modules publish for others.
struct Crate {
    files: BTreeMap<ModulePath, String>,
    /// The items of a `pub use`, by the module that publishes them and their names there.
    published: BTreeMap<(ModulePath, String), ModulePath>,
}

impl FileGraph {
    pub fn of(files: &[ProductFile]) -> Self {
        // The binary's root has a crate of its own.
        let files: Vec<&ProductFile> = files.iter().filter(|file| file.path != "main.rs").collect();
        let mut whole = Crate {
            files: files.iter().map(|file| (file.module.clone(), file.path.clone())).collect(),
            published: BTreeMap::new(),
        };
        let read: Vec<PathReader> = files.iter().map(|file| PathReader::read(file, &whole.files)).collect();
        for (file, reader) in files.iter().zip(&read) {
            for used in reader.uses.iter().filter(|used| used.is_public) {
                whole.published.insert((file.module.clone(), used.alias.clone()), used.names.clone());
            }
        }
        let mut imports = BTreeMap::<String, BTreeMap<String, BTreeSet<String>>>::new();
        for (file, reader) in files.iter().zip(&read) {
            for names in reader.imported(&whole, &file.module) {
                if let Some(target) = whole.file_of(&names).filter(|target| **target != file.path) {
                    let targets = imports.entry(file.path.clone()).or_default();
                    targets.entry(target.clone()).or_default().insert(names.join("::"));
                }
            }
        }
        Self { imports }
    }

    /// Returns the sets of two and more of `files` that reach each other through imports within `files`.
    pub fn circles<'a>(&self, files: &BTreeSet<&'a str>) -> Vec<BTreeSet<&'a str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            files.iter().map(|file| (*file, self.reached_from(file, files))).collect();
        let mut circles = BTreeSet::new();
        for file in files {
            let circle: BTreeSet<&str> =
                reached[file].iter().filter(|other| reached[*other].contains(file)).copied().collect();
            circles.insert(circle);
        }
        circles.into_iter().filter(|circle| circle.len() > 1).collect()
    }

    /// Returns the files that `file` imports, and those that these import.
    fn reached_from<'a>(&self, file: &str, files: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![file];
        while let Some(file) = waiting.pop() {
            for target in self.imports.get(file).into_iter().flatten().filter_map(|(target, _)| files.get(&**target)) {
                if reached.insert(*target) {
                    waiting.push(target);
                }
            }
        }
        reached
    }

    /// Returns the imports among `files`, one line each.
    pub fn imports_among(&self, files: &BTreeSet<&str>) -> Vec<String> {
        let mut lines = Vec::new();
        for (file, targets) in self.imports.iter().filter(|(file, _)| files.contains(&***file)) {
            for (target, names) in targets.iter().filter(|(target, _)| files.contains(&***target)) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                lines.push(format!("{file} -> {target}: {}", names.join(", ")));
            }
        }
        lines
    }
}

impl Crate {
    /// Returns the file that defines the item at `names`. An import of the module of a `mod.rs` has none, because the
    /// paths through that module count one by one.
    fn file_of(&self, names: &[String]) -> Option<&String> {
        let mut names = names.to_vec();
        // A path through as many facades as the crate has ends.
        for _ in 0..=self.published.len() {
            let depth = (0..=names.len()).rev().find(|depth| self.files.contains_key(&names[..*depth]))?;
            let (module, rest) = names.split_at(depth);
            let Some(first) = rest.first() else {
                return self.files.get(module).filter(|path| !path.ends_with("mod.rs"));
            };
            match self.published.get(&(module.to_vec(), first.clone())) {
                Some(published) => names = [published, &rest[1..]].concat(),
                None => return self.files.get(module),
            }
        }
        None
    }
}

/// The paths in one file.
struct PathReader<'a> {
    files: &'a BTreeMap<ModulePath, String>,
    uses: Vec<NamedPath>,
    /// The paths of expressions and types, with the module that each stands in. A name alone counts too.
    paths: Vec<(ModulePath, ModulePath)>,
}

impl<'a> PathReader<'a> {
    fn read(file: &ProductFile, files: &'a BTreeMap<ModulePath, String>) -> Self {
        let mut reader = Self { files, uses: Vec::new(), paths: Vec::new() };
        reader.tokens(file.tokens.clone(), &file.module);
        reader
    }

    /// Returns the paths from the crate's root that the file, whose module is `module`, imports and uses. A `pub use`
    /// alone isn't one of them.
    fn imported(&self, whole: &Crate, module: &[String]) -> Vec<ModulePath> {
        let mut imported: Vec<ModulePath> =
            self.uses.iter().filter(|used| !used.is_public).map(|used| used.names.clone()).collect();
        for (inside, path) in &self.paths {
            if let Some(names) = self.absolute(path, inside).filter(|_| path.len() > 1) {
                imported.push(names);
            } else if let Some(used) = self.uses.iter().find(|used| used.alias == path[0]) {
                // The path goes through a module that the file imports, or names an item that it publishes.
                if whole.files.contains_key(&used.names) && path.len() > 1 || used.is_public && inside == module {
                    imported.push([&used.names, &path[1..]].concat());
                }
            }
        }
        imported
    }

    /// Reads `tokens` in the module `inside`.
    fn tokens(&mut self, tokens: TokenStream, inside: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at += match &tokens[at..] {
                [word, TokenTree::Group(scope), rest @ ..] if is(word, "pub") && is_scope(scope) => match rest {
                    [word, ..] if is(word, "use") => 2 + self.use_item(rest, inside, true),
                    _ => 2,
                },
                [public, word, ..] if is(public, "pub") && is(word, "use") => {
                    1 + self.use_item(&tokens[at + 1..], inside, true)
                }
                [word, ..] if is(word, "use") => self.use_item(&tokens[at..], inside, false),
                [word, name, TokenTree::Group(body), ..] if is(word, "mod") => {
                    self.tokens(body.stream(), &[inside, &[name.to_string()]].concat());
                    3
                }
                // The name of a new item, of a field or of a method is no path.
                [word, TokenTree::Ident(_), ..] if [".", "fn", "mod"].iter().any(|before| is(word, before)) => 2,
                [TokenTree::Ident(_), ..] => {
                    let path = path_at(&tokens[at..]);
                    let length = path.len() * 3 - 2;
                    self.paths.push((inside.to_vec(), path));
                    length
                }
                [TokenTree::Group(group), ..] => {
                    self.tokens(group.stream(), inside);
                    1
                }
                _ => 1,
            };
        }
    }

    /// Reads the `use` at the start of `tokens`. Returns its length.
    fn use_item(&mut self, tokens: &[TokenTree], inside: &[String], is_public: bool) -> usize {
        let end = tokens.iter().position(|token| is(token, ";")).unwrap_or(tokens.len());
        self.use_tree(&tokens[1..end], &[], inside, is_public);
        end + 1
    }

    /// Reads the rest of a `use` behind the path `before`.
    fn use_tree(&mut self, tokens: &[TokenTree], before: &[String], inside: &[String], is_public: bool) {
        let path = if matches!(tokens.first(), Some(TokenTree::Ident(_))) { path_at(tokens) } else { Vec::new() };
        let whole = [before, &path].concat();
        let rest = &tokens[(path.len() * 3).min(tokens.len())..];
        match rest {
            [TokenTree::Group(group)] if group.delimiter() == Delimiter::Brace => {
                let members: Vec<TokenTree> = group.stream().into_iter().collect();
                for member in members.split(|token| is(token, ",")).filter(|member| !member.is_empty()) {
                    self.use_tree(member, &whole, inside, is_public);
                }
            }
            _ => self.use_leaf(whole, tokens.last(), inside, is_public),
        }
    }

    /// Adds the `use` of the item at `path`, whose last token is `last`.
    fn use_leaf(&mut self, mut path: ModulePath, last: Option<&TokenTree>, inside: &[String], is_public: bool) {
        if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
            path.pop();
        }
        let alias = match last {
            Some(TokenTree::Ident(name)) if name != "self" => name.to_string(),
            Some(star) if is(star, "*") => "*".to_owned(),
            _ => path.last().cloned().unwrap_or_default(),
        };
        if alias == "*" {
            path.push(alias.clone());
        }
        if let Some(names) = self.absolute(&path, inside) {
            self.uses.push(NamedPath { names, alias, is_public });
        }
    }

    /// Returns the path from the crate's root for `path`, which stands in the module `inside`. None is for other crates.
    fn absolute(&self, path: &[String], inside: &[String]) -> Option<ModulePath> {
        let is_step = |name: &&String| ["crate", "self", "super"].contains(&name.as_str());
        let steps = path.iter().take_while(is_step).count();
        let mut base = inside.to_vec();
        if steps == 0 {
            base.push(path.first()?.clone());
            return self.files.contains_key(&base).then(|| [&base, &path[1..]].concat());
        }
        for step in &path[..steps] {
            match step.as_str() {
                "crate" => base.clear(),
                "super" => drop(base.pop()),
                _ => {}
            }
        }
        Some([&base, &path[steps..]].concat())
    }
}

/// Returns the names of the path at the start of `tokens`, which is an identifier.
fn path_at(tokens: &[TokenTree]) -> ModulePath {
    let mut names = vec![tokens[0].to_string()];
    let mut rest = &tokens[1..];
    while let [one, two, name @ TokenTree::Ident(_), ..] = rest
        && is(one, ":")
        && is(two, ":")
    {
        names.push(name.to_string());
        rest = &rest[3..];
    }
    names
}

/// True if `group`, behind `pub`, is a scope and not the first field of a tuple.
fn is_scope(group: &proc_macro2::Group) -> bool {
    let first = group.stream().into_iter().next();
    first.is_some_and(|first| ["crate", "self", "super", "in"].iter().any(|scope| is(&first, scope)))
        && group.stream().into_iter().nth(1).is_none_or(|second| !is(&second, ":"))
}
