//! What an administrator types at `docdbd` and what it says, held word for word.
//!
//! Each transcript runs in its own copy of `transcripts/NAME.in`. `TRYCMD=overwrite` writes the answers anew; read the
//! difference before it is committed.

#[test]
fn transcripts() {
    trycmd::TestCases::new().case("tests/transcripts/*.trycmd");
}
