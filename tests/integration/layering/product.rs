//! The product's sources as tokens, without doc comments and without the items that only tests compile.

use crate::support::sources::sources;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::{collections::BTreeSet, fs, path::Path};

/// A file of the product. Its items for tests are left out.
pub struct ProductFile {
    /// The path below the root of the sources, such as `vfs/cache/stat.rs`.
    pub path: String,
    /// The module, such as `["vfs", "cache", "stat"]`. The crate's root has no names.
    pub module: Vec<String>,
    pub tokens: TokenStream,
    /// The modules of the file that only tests compile.
    test_modules: Vec<Vec<String>>,
}

/// Returns the product's files below `root`, such as `src/`. Files of modules that only tests compile are left out.
pub fn product(root: &Path) -> Vec<ProductFile> {
    let texts = sources(root, &["rs"]).into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text)
    });
    product_of(texts)
}

/// Returns the product's files among `texts`, which are pairs of a path below the root and a text.
pub fn product_of(texts: impl IntoIterator<Item = (String, String)>) -> Vec<ProductFile> {
    let mut files: Vec<ProductFile> = texts.into_iter().map(|(path, text)| ProductFile::parse(&path, &text)).collect();
    let left_out: BTreeSet<Vec<String>> = files.iter().flat_map(|file| file.test_modules.clone()).collect();
    files.retain(|file| !(1..=file.module.len()).any(|depth| left_out.contains(&file.module[..depth])));
    files
}

impl ProductFile {
    fn parse(path: &str, text: &str) -> Self {
        let steps = path.strip_suffix(".rs").unwrap().split('/');
        let module: Vec<String> =
            steps.filter(|step| !["mod", "lib", "main"].contains(step)).map(str::to_owned).collect();
        let mut test_modules = Vec::new();
        let tokens = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let tokens = without_tests(tokens, &module, &mut test_modules);
        Self { path: path.to_owned(), module, tokens, test_modules }
    }

    /// Returns the number of lines of code. Comments, blanks and tests don't count.
    pub fn lines(&self) -> usize {
        let mut lines = BTreeSet::new();
        add_lines(self.tokens.clone(), &mut lines);
        lines.len()
    }
}

/// Returns `tokens`, which stand in the module `inside`, without doc comments and without items for tests. Adds the
/// modules among those items to `test_modules`.
fn without_tests(tokens: TokenStream, inside: &[String], test_modules: &mut Vec<Vec<String>>) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut left = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at..] {
            // A doc comment is an attribute among the tokens.
            [hash, TokenTree::Group(attribute), ..] if is(hash, "#") && begins(attribute, "doc") => at += 2,
            [hash, bang, TokenTree::Group(attribute), ..]
                if is(hash, "#") && is(bang, "!") && begins(attribute, "doc") =>
            {
                at += 3;
            }
            [hash, TokenTree::Group(attribute), ..] if is(hash, "#") && is_for_tests(attribute) => {
                let item = &tokens[at..];
                let length = item_length(item);
                if let Some(name) = module_name(&item[..length]) {
                    test_modules.push([inside, &[name]].concat());
                }
                at += length;
            }
            [word, name @ TokenTree::Ident(_), TokenTree::Group(body), ..] if is(word, "mod") => {
                left.extend([word.clone(), name.clone()]);
                left.push(emptied(body, &[inside, &[name.to_string()]].concat(), test_modules));
                at += 3;
            }
            [TokenTree::Group(group), ..] => {
                left.push(emptied(group, inside, test_modules));
                at += 1;
            }
            [token, ..] => {
                left.push(token.clone());
                at += 1;
            }
            [] => {}
        }
    }
    left.into_iter().collect()
}

/// Returns `group` at its place, without its tests.
fn emptied(group: &Group, inside: &[String], test_modules: &mut Vec<Vec<String>>) -> TokenTree {
    let mut rest = Group::new(group.delimiter(), without_tests(group.stream(), inside, test_modules));
    rest.set_span(group.span());
    TokenTree::Group(rest)
}

/// Returns the number of tokens of the item, the field or the variant at the start of `tokens`, with its attributes.
fn item_length(tokens: &[TokenTree]) -> usize {
    let mut at = 0;
    while let [hash, TokenTree::Group(_), ..] = &tokens[at..]
        && is(hash, "#")
    {
        at += 2;
    }
    let words = ["use", "const", "static", "type", "let"];
    let items = ["mod", "fn", "async", "unsafe", "struct", "enum", "trait", "impl", "macro_rules"];
    let word = tokens[at..].iter().find(|token| matches!(token, TokenTree::Ident(_)) && !is(token, "pub"));
    let is_one_of = |list: &[&str]| word.is_some_and(|word| list.iter().any(|name| is(word, name)));
    let ends = |token: &TokenTree| {
        let braced = matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        if is_one_of(&words) {
            is(token, ";")
        } else if is_one_of(&items) {
            is(token, ";") || braced
        } else {
            is(token, ",") || is(token, ";") || braced
        }
    };
    tokens[at..].iter().position(ends).map_or(tokens.len(), |end| at + end + 1)
}

/// Returns the name of the module that `item` declares.
fn module_name(item: &[TokenTree]) -> Option<String> {
    item.windows(2).find(|pair| is(&pair[0], "mod")).map(|pair| pair[1].to_string())
}

/// True if `attribute` is `cfg(test)` or `cfg(all(test, …))`.
fn is_for_tests(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

fn begins(attribute: &Group, name: &str) -> bool {
    attribute.stream().into_iter().next().is_some_and(|first| is(&first, name))
}

fn add_lines(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    for token in tokens {
        if let TokenTree::Group(group) = token {
            lines.extend([group.span_open().start().line, group.span_close().start().line]);
            add_lines(group.stream(), lines);
        } else {
            // A string may have several lines.
            lines.extend(token.span().start().line..=token.span().end().line);
        }
    }
}

/// True if `token` is the word or the sign `text`.
pub fn is(token: &TokenTree, text: &str) -> bool {
    match token {
        TokenTree::Ident(name) => name == text,
        TokenTree::Punct(sign) => text.chars().eq([sign.as_char()]),
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> usize {
        ProductFile::parse("x/y.rs", text).lines()
    }

    #[test]
    fn comments_and_blanks_are_no_lines_of_code() {
        assert_eq!(lines("//! A file.\n\n/// A function.\n/* Long\n */\nfn f() { // begins\n    g();\n\n}\n"), 3);
        assert_eq!(lines("const C: &str = \"\n// one\n\n\";"), 4);
    }

    #[test]
    fn items_for_tests_are_no_lines_of_code() {
        assert_eq!(lines("fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\nfn h() {}"), 2);
        assert_eq!(lines("#[cfg(test)]\nuse a::{\n    b,\n};\nfn f() {}"), 1);
        assert_eq!(lines("struct A {\n    #[cfg(test)]\n    b: u8,\n    c: u8,\n}"), 3);
        assert_eq!(lines("#[cfg(test)]\n#[allow(x)]\npub(crate) fn f<A, B>() {\n}\nfn g() {}"), 1);
        assert_eq!(lines("#[cfg(all(test, unix))]\nmod tests;\n#[cfg(unix)]\nfn g() {}"), 2);
    }

    #[test]
    fn files_of_test_modules_are_left_out() {
        let texts = [
            ("x/mod.rs", "mod y; #[cfg(test)] mod tests; #[cfg(test)] pub(crate) mod samples;"),
            ("x/y.rs", ""),
            ("x/tests/mod.rs", "mod deep;"),
            ("x/tests/deep.rs", ""),
            ("x/samples.rs", ""),
        ];
        let texts = texts.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let paths: Vec<String> = product_of(texts).into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["x/mod.rs", "x/y.rs"]);
    }
}
