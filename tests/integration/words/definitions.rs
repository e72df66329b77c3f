//! The names that a source file defines: modules, types, functions, constants, fields and variants. Comments, strings
//! and the names that the file only mentions don't count. Neither do the items of `impl Trait for Type`, which the
//! trait named.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The item that a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    Module,
    /// A struct, an enum, a trait or an alias.
    Type,
    /// A type in a trait or an inherent `impl`, which is named with its owner.
    AssociatedType,
    Function,
    /// A constant, a static or a macro.
    Constant,
    /// A named field of a struct or of a variant.
    Field,
    Variant,
}

/// A name and its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    pub line: usize,
    pub kind: ItemKind,
    pub name: String,
}

/// Returns the definitions in `text`, the file at `path`, in order.
pub fn definitions(path: &str, text: &str) -> Vec<Definition> {
    let mut reading = DefinitionReader { found: Vec::new() };
    reading.items(text.parse().unwrap_or_else(|error| panic!("{path}: {error}")), ItemKind::Type);
    reading.found
}

/// Splits a name in snake case or camel case into its words, in lower case: `S3Bucket` is `s3` and `bucket`.
pub fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let letters: Vec<char> = name.trim_start_matches("r#").chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && !letters[at - 1].is_uppercase();
        let before_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if *letter == '_' || letter.is_uppercase() && (after_lower || before_lower) {
            words.push(String::new());
        }
        if *letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

struct DefinitionReader {
    found: Vec<Definition>,
}

impl DefinitionReader {
    /// Reads the items and expressions in `tokens`. `alias` is the kind of a `type` among them.
    fn items(&mut self, tokens: TokenStream, alias: ItemKind) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at += match &tokens[at..] {
                [TokenTree::Group(group), ..] => {
                    self.items(group.stream(), ItemKind::Type);
                    1
                }
                [word, TokenTree::Ident(_), ..] if is(word, "impl") && starts_item(&tokens[..at]) => {
                    self.implementation(&tokens[at..])
                }
                [word, next, ..] if is(word, "impl") && is(next, "<") && starts_item(&tokens[..at]) => {
                    self.implementation(&tokens[at..])
                }
                [word, name @ TokenTree::Ident(_), ..] if is(word, "trait") => {
                    self.define(ItemKind::Type, name);
                    self.body(&tokens[at..], |reading, body| reading.items(body, ItemKind::AssociatedType))
                }
                [word, name @ TokenTree::Ident(_), ..] if is(word, "struct") => {
                    self.define(ItemKind::Type, name);
                    self.body(&tokens[at..], Self::fields)
                }
                [word, name @ TokenTree::Ident(_), ..] if is(word, "enum") => {
                    self.define(ItemKind::Type, name);
                    self.body(&tokens[at..], Self::variants)
                }
                [word, name @ TokenTree::Ident(_), ..] => {
                    let kind = match word.to_string().as_str() {
                        "mod" => ItemKind::Module,
                        "type" => alias,
                        "fn" => ItemKind::Function,
                        "const" | "static" if !is(name, "fn") && !is(name, "mut") => ItemKind::Constant,
                        _ => {
                            at += 1;
                            continue;
                        }
                    };
                    self.define(kind, name);
                    2
                }
                [word, bang, name @ TokenTree::Ident(_), ..] if is(word, "macro_rules") && is(bang, "!") => {
                    self.define(ItemKind::Constant, name);
                    3
                }
                _ => 1,
            };
        }
    }

    /// Reads an `impl`. The trait, if there is one, has named the items; what stands in the functions is read.
    fn implementation(&mut self, tokens: &[TokenTree]) -> usize {
        let ours = !tokens.iter().take_while(|token| !is_braced(token)).any(|token| is(token, "for"));
        self.body(tokens, |reading, body| {
            let before = reading.found.len();
            reading.items(body.clone(), ItemKind::AssociatedType);
            if !ours {
                reading.found.truncate(before);
                for token in body {
                    if let TokenTree::Group(group) = token {
                        reading.items(group.stream(), ItemKind::Type);
                    }
                }
            }
        })
    }

    /// Gives the next braces, unless a `;` ends the item before them, to `read`. Returns how many tokens that took.
    fn body(&mut self, tokens: &[TokenTree], read: impl FnOnce(&mut Self, TokenStream)) -> usize {
        let end = tokens.iter().position(|token| is(token, ";") || is_braced(token));
        if let Some(TokenTree::Group(body)) = end.map(|end| &tokens[end]) {
            read(self, body.stream());
        }
        end.map_or(tokens.len(), |end| end + 1)
    }

    fn fields(&mut self, body: TokenStream) {
        let tokens: Vec<TokenTree> = body.into_iter().collect();
        // Commas and colons between angle brackets belong to a type.
        let mut depth = 0_i32;
        for (at, token) in tokens.iter().enumerate() {
            let arrow = at > 0 && is(&tokens[at - 1], "-");
            depth += i32::from(is(token, "<")) - i32::from(is(token, ">") && !arrow);
            let path = at > 0 && is(&tokens[at - 1], ":") || tokens.get(at + 2).is_some_and(|next| is(next, ":"));
            let colon = tokens.get(at + 1).is_some_and(|next| is(next, ":"));
            if depth == 0 && colon && !path && matches!(token, TokenTree::Ident(_)) {
                self.define(ItemKind::Field, token);
            }
        }
    }

    fn variants(&mut self, body: TokenStream) {
        let mut expected = true;
        for token in body {
            match &token {
                TokenTree::Ident(_) if expected => {
                    self.define(ItemKind::Variant, &token);
                    expected = false;
                }
                TokenTree::Group(group) if is_braced(&token) => self.fields(group.stream()),
                token => expected |= is(token, ","),
            }
        }
    }

    fn define(&mut self, kind: ItemKind, name: &TokenTree) {
        self.found.push(Definition { line: name.span().start().line, kind, name: name.to_string() });
    }
}

/// True if the token after `before` can start an item: `impl` also stands in types.
fn starts_item(before: &[TokenTree]) -> bool {
    match before.last() {
        None => true,
        Some(TokenTree::Group(group)) => group.delimiter() != Delimiter::Parenthesis,
        Some(token) => is(token, ";") || is(token, "unsafe"),
    }
}

fn is(token: &TokenTree, text: &str) -> bool {
    match token {
        TokenTree::Ident(name) => name == text,
        TokenTree::Punct(mark) => text.chars().eq([mark.as_char()]),
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    }
}

fn is_braced(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if Group::delimiter(group) == Delimiter::Brace)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definitions in `text`, each as its kind and its name.
    fn found(text: &str) -> Vec<String> {
        definitions("x.rs", text).iter().map(|it| format!("{:?} {}", it.kind, it.name)).collect()
    }

    #[test]
    fn items_are_found_wherever_they_stand() {
        assert_eq!(
            found("mod a; mod b { pub(crate) struct C; } fn d() { struct E(u8); const F: u8 = 1; }"),
            ["Module a", "Module b", "Type C", "Function d", "Type E", "Constant F"]
        );
        assert_eq!(found("macro_rules! m { ($t:ident) => { struct $t; fn n() {} } }"), ["Constant m", "Function n"]);
        assert_eq!(found("async fn a() {} const fn b() {} static C: u8 = 0;").len(), 3);
    }

    #[test]
    fn fields_and_variants_are_found_past_their_types() {
        assert_eq!(
            found("struct A<T: B> where T: C { #[d(e)] pub f: std::map::Map<g::H, fn(i: J) -> K>, l: M }"),
            ["Type A", "Field f", "Field l"]
        );
        assert_eq!(
            found("enum A { #[b] C, D(e::F, G), H { i: J<K, L>, m: N }, O = 3, P }"),
            ["Type A", "Variant C", "Variant D", "Variant H", "Field i", "Field m", "Variant O", "Variant P"]
        );
        assert_eq!(found("struct A(pub b::C, D); struct E;"), ["Type A", "Type E"]);
    }

    #[test]
    fn a_trait_names_the_items_of_its_implementations() {
        assert_eq!(
            found("trait A { type B; fn c(&self); } type D = E;"),
            ["Type A", "AssociatedType B", "Function c", "Type D"]
        );
        assert_eq!(
            found("impl<T> A for F<T> { type B = u8; fn c(&self) { fn inner() {} } } fn g() {}"),
            ["Function inner", "Function g"]
        );
        assert_eq!(found("impl F { fn h(&self) -> impl A { type I = u8; } }"), ["Function h", "Type I"]);
    }

    #[test]
    fn mentions_and_text_define_nothing() {
        assert_eq!(
            found("/// struct A\nuse b::C as D; // fn e()\npub use f::G;\nstatic H: fn(u8) = i::<J>(\"type K\", l.m);"),
            ["Constant H"]
        );
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(definitions("x.rs", "\nfn a() {}")[0].line, 2);
    }

    #[test]
    fn names_have_words() {
        assert_eq!(words("PendingReply"), ["pending", "reply"]);
        assert_eq!(words("pending_reply"), ["pending", "reply"]);
        assert_eq!(words("PENDING_REPLY"), ["pending", "reply"]);
        assert_eq!(words("S3Bucket"), ["s3", "bucket"]);
        assert_eq!(words("IAMPolicy"), ["iam", "policy"]);
        assert_eq!(words("r#type"), ["type"]);
        assert_eq!(words("_unused"), ["unused"]);
    }
}
