//! Text that goes into the page, so that it stays text.

/// Adds a line to a page.
macro_rules! put {
    ($page:expr, $($argument:tt)*) => {{
        let page: &mut String = $page;
        page.push_str(&format!($($argument)*));
        page.push('\n');
    }};
}
pub(super) use put;

/// Text as it stands in HTML, between tags or within the quotes of an attribute. What could end either, steer the terminal of
/// the reader who copies it, or turn the direction of reading is written in other letters.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            letter if letter.is_control() || turns_direction(letter) => {
                escaped.extend(letter.escape_unicode());
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The marks of Unicode that change the direction in which text is read.
fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_tag_or_a_quote() {
        assert_eq!(escaped("</title><script>\"'&"), "&lt;/title&gt;&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(escaped("a\u{0}\u{1b}[2J\u{202e}b\n"), "a\\u{0}\\u{1b}[2J\\u{202e}b\n");
        assert_eq!(escaped("κόσμε"), "κόσμε");
    }
}
