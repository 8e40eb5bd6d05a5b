//! What the tests of several modules share. Does not: exist outside of tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

/// Compares `text` with the golden file `name`, or writes it with the variable `WEIR_TEST_BLESS` set.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(name);
    if std::env::var_os("WEIR_TEST_BLESS").is_some() {
        fs::create_dir_all(folder).unwrap();
        fs::write(path, text).unwrap();
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "tests/golden/{name} is not what is written: run this test with WEIR_TEST_BLESS=1 and look at the diff\n{text}"
    );
}
