//! SFTPGo's permissions as the ones here.

use crate::account::{Permission, Permissions};

/// Permissions of SFTPGo that are one here, each with its word here.
const SAME: [(&str, Permission); 7] = [
    ("download", Permission::Read),
    ("upload", Permission::Write),
    ("overwrite", Permission::Overwrite),
    ("list", Permission::List),
    ("delete", Permission::Delete),
    ("rename", Permission::Rename),
    ("create_dirs", Permission::Mkdir),
];

/// Pairs that are one permission here. One of a pair alone would allow more here, and is lost.
const PAIRS: [([&str; 2], Permission); 2] =
    [(["delete_files", "delete_dirs"], Permission::Delete), (["rename_files", "rename_dirs"], Permission::Rename)];

/// Returns the permissions, and the words that are lost: what they allow is refused here.
pub(super) fn permissions(words: &[String]) -> (Permissions, Vec<&str>) {
    let has = |word: &str| words.iter().any(|other| other == word);
    if has("*") {
        return (Permissions::ALL, Vec::new());
    }
    let same = SAME.into_iter().filter(|(word, _)| has(word)).map(|(_, permission)| permission);
    let pairs = PAIRS.into_iter().filter(|(pair, _)| pair.iter().all(|word| has(word))).map(|(_, both)| both);
    let granted: Permissions = same.chain(pairs).collect();
    let is_granted = |word: &str| {
        SAME.iter().any(|(other, _)| *other == word)
            || PAIRS.iter().any(|(pair, both)| pair.contains(&word) && granted.contains(*both))
    };
    (granted, words.iter().map(String::as_str).filter(|word| !is_granted(word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_one_here_or_is_lost() {
        for (words, wanted, lost) in [
            ("*", "read write overwrite list delete rename mkdir", ""),
            ("list download", "read list", ""),
            ("upload overwrite create_dirs chtimes", "write overwrite mkdir", "chtimes"),
            ("delete rename", "delete rename", ""),
            ("delete_files delete_dirs rename_dirs rename_files", "delete rename", ""),
            ("delete_files rename_dirs list", "list", "delete_files rename_dirs"),
            ("delete delete_files", "delete", ""),
            ("copy fly", "", "copy fly"),
            ("", "", ""),
        ] {
            let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
            let (granted, without) = permissions(&words);
            assert_eq!((granted.to_string().as_str(), without.join(" ").as_str()), (wanted, lost), "{words:?}");
        }
    }
}
