//! Issue 12.1: the russh that this build has is the one that the files in `patches/` make.

use sha2::{Digest as _, Sha256};
use std::{fs, path::Path};

#[test]
fn russh_carries_the_patches_of_the_repository() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches/russh-0.65.1");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in &files {
        hash.update(fs::read(file).unwrap());
    }
    assert_eq!(
        russh::PATCHES,
        hex::encode(hash.finalize()),
        "the patches were changed: set WHARFINGER_RUSSH_PATCHES in .cargo/config.toml to what `scripts/rustc-patched --hash` \
         prints"
    );
}

#[test]
fn a_patch_holds_no_more_than_a_line_of_context() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches/russh-0.65.1");
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let hunks = text.lines().skip_while(|line| !line.starts_with("--- a/")).collect::<Vec<_>>();
        assert!(!hunks.is_empty(), "{}", path.display());
        for three in hunks.windows(3) {
            assert!(!three.iter().all(|line| line.starts_with(' ')), "{}: {three:?}", path.display());
        }
    }
}
