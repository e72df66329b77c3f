//! Parses a source file into the names that it mentions. It skips comments and strings, and resolves `super` from the
//! module's position.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A file of `src/`, parsed.
pub struct SourceFile {
    path: String,
    module: Vec<String>,
    names: Vec<(usize, Mention)>,
}

/// The module at the root whose children have rules of their own.
const DIVIDED: &str = "sftp";

/// A name at a position in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Mention {
    /// A path through this module, which has a rule of its own.
    Module(String),
    /// The root of the crate, through which every module can be reached.
    Root,
    /// An included text outside the file, or the crate under another name.
    Elsewhere,
    Identifier(String),
}

impl SourceFile {
    /// Parses `text`, the file at `path` below `src/`.
    pub fn parse(path: &str, text: &str) -> Self {
        let steps = path.strip_suffix(".rs").unwrap().split('/').filter(|step| *step != "mod");
        let module: Vec<String> = steps.map(str::to_owned).collect();
        // Items in the root of the crate have no module's name before them.
        let inside = if ["lib", "main"].contains(&path.strip_suffix(".rs").unwrap()) { &[][..] } else { &module };
        let mut reading = MentionReader { names: Vec::new() };
        reading.tokens(text.parse().unwrap_or_else(|error| panic!("{path}: {error}")), inside);
        Self { path: path.to_owned(), names: reading.names, module }
    }

    /// Returns the path below `src/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the module with a rule of its own that the file belongs to, such as `store` or `sftp::wire`.
    pub fn layer(&self) -> String {
        let steps = if self.module[0] == DIVIDED { 2 } else { 1 };
        self.module[..self.module.len().min(steps)].join("::")
    }

    /// Returns the names with their lines.
    pub fn names(&self) -> impl Iterator<Item = (usize, &Mention)> {
        self.names.iter().map(|(line, named)| (*line, named))
    }
}

struct MentionReader {
    names: Vec<(usize, Mention)>,
}

impl MentionReader {
    /// Reads `tokens` in the module `inside`.
    fn tokens(&mut self, tokens: TokenStream, inside: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at += match &tokens[at..] {
                // `pub(crate)` and `pub(in crate::store)` limit visibility and are no imports.
                [word, TokenTree::Group(scope), ..] if is(word, "pub") && is_visibility(scope) => 2,
                [word, name, TokenTree::Group(body), ..] if is(word, "mod") && braced(body) => {
                    self.tokens(body.stream(), &[inside, &[name.to_string()]].concat());
                    3
                }
                [word, mark, ..] if is(word, "include") && is(mark, "!") => self.elsewhere(word),
                [hash, TokenTree::Group(attribute), ..] if is(hash, "#") && moves(attribute) => {
                    self.elsewhere(hash) + 1
                }
                [word, next, ..] if is(word, "extern") && is(next, "crate") => self.elsewhere(word) + 1,
                [word, ..] if is(word, "crate") => self.path(&tokens[at..], inside.to_vec()),
                [word, colon, ..] if (is(word, "super") || is(word, "self")) && is(colon, ":") => {
                    self.path(&tokens[at..], inside.to_vec())
                }
                [TokenTree::Ident(name), ..] => {
                    self.names.push((name.span().start().line, Mention::Identifier(name.to_string())));
                    1
                }
                [TokenTree::Group(group), ..] => {
                    self.tokens(group.stream(), inside);
                    1
                }
                _ => 1,
            };
        }
    }

    fn elsewhere(&mut self, word: &TokenTree) -> usize {
        self.names.push((word.span().start().line, Mention::Elsewhere));
        1
    }

    /// Follows the path at the start of `tokens` from the module `base` until it reaches a module at the root. Returns
    /// the number of tokens read.
    fn path(&mut self, tokens: &[TokenTree], mut base: Vec<String>) -> usize {
        let mut at = 0;
        loop {
            let line = tokens.get(at).map_or(0, |token| token.span().start().line);
            match tokens.get(at) {
                Some(word) if is(word, "crate") => base.clear(),
                Some(word) if is(word, "super") => drop(base.pop()),
                Some(word) if is(word, "self") => {}
                Some(TokenTree::Ident(name)) if base.is_empty() && name == DIVIDED && continues(tokens, at + 1) => {
                    base.push(name.to_string());
                }
                Some(TokenTree::Ident(name)) => {
                    if base.is_empty() || base == [DIVIDED] {
                        self.names.push((line, Mention::Module([&base[..], &[name.to_string()]].concat().join("::"))));
                    }
                    return at + 1;
                }
                Some(TokenTree::Group(group)) if braced(group) => {
                    let members: Vec<TokenTree> = group.stream().into_iter().collect();
                    for member in members.split(|token| is(token, ",")).filter(|member| !member.is_empty()) {
                        let taken = self.path(member, base.clone());
                        self.tokens(member[taken..].iter().cloned().collect(), &base);
                    }
                    return at + 1;
                }
                star => {
                    if base.is_empty() {
                        self.names.push((line, Mention::Root));
                    }
                    return at + usize::from(star.is_some());
                }
            }
            at += 1;
            if !continues(tokens, at) {
                if base.is_empty() {
                    self.names.push((line, Mention::Root));
                }
                return at;
            }
            at += 2;
        }
    }
}

/// True if a path continues behind its first `at` tokens.
fn continues(tokens: &[TokenTree], at: usize) -> bool {
    matches!(&tokens[at..], [one, two, ..] if is(one, ":") && is(two, ":"))
}

fn is(token: &TokenTree, text: &str) -> bool {
    match token {
        TokenTree::Ident(name) => name == text,
        TokenTree::Punct(mark) => text.chars().eq([mark.as_char()]),
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    }
}

/// True if `attribute` takes a module's source from another file.
fn moves(attribute: &Group) -> bool {
    let inside: Vec<TokenTree> = attribute.stream().into_iter().take(2).collect();
    matches!(&inside[..], [word, mark] if is(word, "path") && is(mark, "="))
}

fn braced(group: &Group) -> bool {
    group.delimiter() == Delimiter::Brace
}

/// True if `group`, behind `pub`, is a scope and not the first field of a tuple.
fn is_visibility(group: &Group) -> bool {
    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
    let scopes = ["crate", "self", "super"];
    matches!(&inside[..], [only] if scopes.iter().any(|scope| is(only, scope)))
        || inside.first().is_some_and(|first| is(first, "in"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names that lead out of the file, in order.
    fn ways_out(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile::parse(path, text);
        let shown = file.names().filter_map(|(_, named)| match named {
            Mention::Module(module) => Some(module.clone()),
            Mention::Root => Some("(root)".to_owned()),
            Mention::Elsewhere => Some("(elsewhere)".to_owned()),
            Mention::Identifier(_) => None,
        });
        shown.collect()
    }

    #[test]
    fn groups_are_read_to_their_ends() {
        let text = "use crate::{a::{self, b::{c, d}}, e as f, {g::h}, i::*};";
        assert_eq!(ways_out("x/y.rs", text), ["a", "e", "g", "i"]);
    }

    #[test]
    fn super_means_what_it_means_where_it_stands() {
        assert_eq!(ways_out("x/y.rs", "use super::z;"), [] as [&str; 0]);
        assert_eq!(ways_out("x/y.rs", "use super::super::z;"), ["z"]);
        assert_eq!(ways_out("x/y.rs", "use self::super::super::z;"), ["z"]);
        assert_eq!(ways_out("x/y.rs", "use super::{w, super::z};"), ["z"]);
        assert_eq!(ways_out("x/mod.rs", "fn f() -> super::z::T { self::y() }"), ["z"]);
        assert_eq!(ways_out("x/y.rs", "mod tests { use super::super::{w, super::z}; }"), ["z"]);
        assert_eq!(ways_out("lib.rs", "pub use self::z::T;"), ["z"]);
    }

    #[test]
    fn the_children_of_a_divided_module_are_told_apart() {
        let text = "use crate::{sftp::{channel::Inbound, wire}, a::T}; fn f(_: crate::sftp::wire::Reply) {}";
        assert_eq!(ways_out("x/y.rs", text), ["sftp::channel", "sftp::wire", "a", "sftp::wire"]);
        assert_eq!(ways_out("sftp/wire/y.rs", "use super::super::channel::T;"), ["sftp::channel"]);
        assert_eq!(ways_out("sftp/wire/y.rs", "use super::T;"), [] as [&str; 0]);
        assert_eq!(ways_out("x/y.rs", "use crate::sftp as other;"), ["sftp"]);
    }

    #[test]
    fn paths_count_outside_of_use_too() {
        let text = "fn f(a: Vec<crate::a::T>) -> bool { matches!(a, [crate::b::C { d: crate::d::E }]) && self.x }";
        assert_eq!(ways_out("x.rs", text), ["a", "b", "d"]);
        assert_eq!(ways_out("x.rs", "macro_rules! m { () => { $crate::a::T } }"), ["a"]);
        assert_eq!(ways_out("x.rs", "struct T(pub(crate) u8, pub (crate::a::T, u8));"), ["a"]);
    }

    #[test]
    fn words_about_code_are_no_code() {
        let text = "//! crate::a\n/// [`b`](crate::b)\npub(in crate::x) const C: &str = \"crate::c\"; /* crate::d */";
        assert_eq!(ways_out("x/y.rs", text), [] as [&str; 0]);
    }
}
