//! What an administrator types and what the shell says, held word for word.
//!
//! Each transcript runs in its own copy of `transcripts/NAME.in`, and what it leaves there is held against
//! `transcripts/NAME.out`. `TRYCMD=overwrite` writes the answers anew;
//! read the difference before it is committed.

#[test]
fn transcripts() {
    trycmd::TestCases::new().case("tests/transcripts/*.trycmd");
}
