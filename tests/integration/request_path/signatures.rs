//! The product's functions with the names in their signatures, and the product's types that these names mean.

use super::imports::{Imports, ResolvedPath, paths};
use crate::layering::product::{ProductFile, is};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// The functions and the types of the product.
#[derive(Debug, Default)]
pub struct Signatures {
    files: BTreeMap<String, FileSignatures>,
    /// The files of each struct, enum and trait.
    types: BTreeMap<String, BTreeSet<String>>,
    /// The names of all modules.
    modules: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct FileSignatures {
    functions: Vec<FunctionHeader>,
    imports: Imports,
}

/// The lines of a function, and the paths before its body. Those in the header of its `impl` or its trait count too.
#[derive(Debug)]
struct FunctionHeader {
    first_line: usize,
    last_line: usize,
    paths: BTreeSet<Vec<String>>,
}

impl Signatures {
    pub fn of(product: &[ProductFile]) -> Self {
        let mut all = Self::default();
        for file in product {
            all.modules.extend(file.module.iter().cloned());
            let mut found = FileSignatures { imports: Imports::of(file.tokens.clone()), ..FileSignatures::default() };
            all.read(&file.path, &mut found, file.tokens.clone(), &BTreeSet::new());
            all.files.insert(file.path.clone(), found);
        }
        all
    }

    /// Returns the first line of the function at this line of a file, or `None` outside of functions.
    pub fn function_at(&self, path: &str, line: usize) -> Option<usize> {
        Self::innermost(self.files.get(path)?, line).map(|function| function.first_line)
    }

    /// Returns the product's types in the signature of the function at this line of a file. A name that several types
    /// have comes with the type's file.
    pub fn types_at(&self, path: &str, line: usize) -> BTreeSet<String> {
        let Some(file) = self.files.get(path) else { return BTreeSet::new() };
        let names = Self::innermost(file, line).into_iter().flat_map(|function| &function.paths);
        names.filter_map(|name| self.type_at(name, path, &file.imports)).collect()
    }

    fn innermost(file: &FileSignatures, line: usize) -> Option<&FunctionHeader> {
        let around =
            file.functions.iter().filter(|function| (function.first_line..=function.last_line).contains(&line));
        around.min_by_key(|function| function.last_line - function.first_line)
    }

    /// Returns the type that the path `name` means in the file at `path`.
    fn type_at(&self, name: &[String], path: &str, imports: &Imports) -> Option<String> {
        let full = match imports.resolve(name, &self.modules) {
            ResolvedPath::Ours(full) => full,
            ResolvedPath::Foreign => return None,
        };
        let last = full.last()?;
        let files = self.types.get(last)?;
        // A name alone that nothing imports is of this file, or another crate's.
        if full.len() == 1 && !files.contains(path) {
            return None;
        }
        if files.len() == 1 {
            return Some(last.clone());
        }
        // The file that has the most in common with the path, and then with the place.
        let common = |file: &&String| {
            let steps = || file.trim_end_matches(".rs").split('/');
            let named = steps().filter(|step| full.iter().any(|segment| segment == step)).count();
            (named, steps().zip(path.split('/')).take_while(|(one, other)| one == other).count())
        };
        files.iter().max_by_key(common).map(|file| format!("{last} of {file}"))
    }

    /// Reads the items in `tokens`. `owner` has the paths in the header of the `impl` or the trait around them.
    fn read(&mut self, path: &str, file: &mut FileSignatures, tokens: TokenStream, owner: &BTreeSet<Vec<String>>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if let [word, TokenTree::Ident(name), ..] = &tokens[at..]
                && ["struct", "enum", "trait"].iter().any(|item| is(word, item))
            {
                self.types.entry(name.to_string()).or_default().insert(path.to_owned());
            }
            at += match &tokens[at..] {
                // A pointer to a function has no name.
                [word, TokenTree::Ident(_), ..] if is(word, "fn") => {
                    self.read_function(path, file, &tokens[at..], owner)
                }
                [word, ..] if is(word, "impl") || is(word, "trait") => self.read_owner(path, file, &tokens[at..]),
                [TokenTree::Group(group), ..] => {
                    self.read(path, file, group.stream(), owner);
                    1
                }
                _ => 1,
            };
        }
    }

    /// Reads the function at the start of `tokens`, and the items in its body. Returns the number of its tokens.
    fn read_function(
        &mut self,
        path: &str,
        file: &mut FileSignatures,
        tokens: &[TokenTree],
        owner: &BTreeSet<Vec<String>>,
    ) -> usize {
        let length = header_length(tokens);
        let Some(TokenTree::Group(body)) = tokens.get(length) else { return length };
        file.functions.push(FunctionHeader {
            first_line: tokens[0].span().start().line,
            last_line: body.span_close().end().line,
            paths: &paths(&tokens[2..length]) | owner,
        });
        self.read(path, file, body.stream(), &BTreeSet::new());
        length + 1
    }

    /// Reads the `impl` or the trait at the start of `tokens`. Returns the number of its tokens.
    fn read_owner(&mut self, path: &str, file: &mut FileSignatures, tokens: &[TokenTree]) -> usize {
        let length = header_length(tokens);
        let Some(TokenTree::Group(body)) = tokens.get(length) else { return length };
        self.read(path, file, body.stream(), &paths(&tokens[1..length]));
        length + 1
    }
}

/// Returns the number of tokens before the body, or before the `;` in its place.
fn header_length(tokens: &[TokenTree]) -> usize {
    let is_body = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    tokens.iter().position(|token| is_body(token) || is(token, ";")).unwrap_or(tokens.len())
}

#[cfg(test)]
mod tests {
    use super::{super::super::layering::product::product_of, *};

    /// Returns the types at a line of `a/x.rs`, which has this text. Another file has the type `Other`.
    fn types(text: &str, line: usize) -> Vec<String> {
        let texts = [("a/x.rs", text), ("b/y.rs", "pub struct Other; pub enum Twice {}"), ("c.rs", "enum Twice {}")];
        let texts = texts.map(|(path, text)| (path.to_owned(), text.to_owned()));
        Signatures::of(&product_of(texts)).types_at("a/x.rs", line).into_iter().collect()
    }

    #[test]
    fn the_names_before_the_body_count() {
        let text =
            "struct A; enum B {} trait C {} struct D;\nfn f<T: C>(a: &[A]) -> Option<B> {\nlet d: D;\n}\nfn g() {}";
        assert_eq!(types(text, 2), ["A", "B", "C"]);
        assert_eq!(types(text, 3), ["A", "B", "C"]);
        assert_eq!(types(text, 5), [] as [&str; 0]);
        assert_eq!(types(text, 1), [] as [&str; 0]);
    }

    #[test]
    fn the_owner_of_a_method_counts_and_so_does_its_trait() {
        let text = "struct A; trait B { fn f() {\n} }\nimpl B for A { fn f() {\nfn inside() {\n} } }";
        assert_eq!(types(text, 2), ["B"]);
        assert_eq!(types(text, 3), ["A", "B"]);
        assert_eq!(types(text, 5), [] as [&str; 0], "the innermost function has no owner");
    }

    #[test]
    fn names_mean_the_types_that_were_imported() {
        assert_eq!(types("use crate::b::y::Other as Mine;\nfn f(_: Mine) {}", 2), ["Other"]);
        assert_eq!(types("use russh::server::{Other, Reply};\nfn f(_: Other) {}", 2), [] as [&str; 0]);
        assert_eq!(types("use crate::b;\nfn f(_: b::Other, _: io::Other) {}", 2), ["Other"]);
        assert_eq!(types("\nfn f(_: io::Other, _: Self::Other) {}", 2), [] as [&str; 0]);
    }

    #[test]
    fn types_of_one_name_differ() {
        assert_eq!(types("use crate::b::Twice;\nfn f(_: Twice) {}", 2), ["Twice of b/y.rs"]);
        assert_eq!(types("\nfn f(_: crate::c::Twice) {}", 2), ["Twice of c.rs"]);
    }
}
