//! Words: what whoever answered said, out of a page, a text, or an error in JSON.

use serde_json::Value;

use super::style::{Style, object_of};

/// Most characters of words that are shown.
pub(crate) const MAX_WORDS: usize = 300;
/// Most characters that are kept, so that what is cut off cannot be half of a secret.
const MAX_KEPT: usize = 4 * MAX_WORDS;

/// What an answer says, on one line; `None` if it says nothing that a person could read.
pub(crate) fn words_of(answer: &[u8]) -> Option<Box<str>> {
    let text = text_of(answer);
    let text = text.trim();
    let words = match first_value(text) {
        Some((raw, value)) => words_of_json(raw, &value),
        None if text.starts_with('<') => words_of_page(text),
        None => text.to_owned(),
    };
    let words = one_line(&words, MAX_KEPT);
    (!words.is_empty()).then(|| words.into())
}

/// An answer as text, without a byte order mark; of an event stream its first event.
pub(crate) fn text_of(answer: &[u8]) -> String {
    let answer = answer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer);
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_start();
    let is_event =
        ["data:", "event:", "id:", "retry:", ":"].iter().any(|name| text.starts_with(name));
    if !is_event {
        return text.to_owned();
    }
    let ends = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines = ends.lines().skip_while(|line| !line.starts_with("data:"));
    let data = lines.map_while(|line| line.strip_prefix("data:"));
    data.collect::<Vec<_>>().join("\n")
}

/// The JSON value that a text begins with, and its text, whatever follows it.
pub(crate) fn first_value(text: &str) -> Option<(&str, Value)> {
    let text = text.trim_start();
    if !text.starts_with(['{', '[', '"']) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((text.get(..values.byte_offset())?, value))
}

/// The words of a known style; else the JSON as it is.
fn words_of_json(raw: &str, value: &Value) -> String {
    let object = object_of(value);
    let styled = Style::of(object).map(|style| style.words_of(object));
    match (styled.filter(|words| !words.is_empty()), value) {
        (Some(words), _) => words,
        (None, Value::String(text)) => text.clone(),
        (None, _) => raw.to_owned(),
    }
}

/// The title of a page, which is short and holds nothing of what was sent; without one, what of it
/// is no markup.
fn words_of_page(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let start = at + lower.get(at..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find("</title")?;
        page.get(start..end).map(str::trim).filter(|title| !title.is_empty())
    });
    unescape(&title.map_or_else(|| without_markup(page, &lower), str::to_owned))
}

fn without_markup(page: &str, lower: &str) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(open) = lower.get(at..).and_then(|rest| rest.find('<')).map(|found| at + found) {
        text.push_str(page.get(at..open).unwrap_or_default());
        text.push(' ');
        let rest = lower.get(open..).unwrap_or_default();
        let hidden = ["script", "style"]
            .into_iter()
            .find(|name| rest.get(1..).is_some_and(|tag| tag.starts_with(name)));
        let end = match hidden {
            Some(name) => rest.find(&format!("</{name}")).unwrap_or(rest.len()),
            None => rest.find('>').map_or(rest.len(), |end| end + 1),
        };
        at = open + end.max(1);
    }
    text.push_str(page.get(at..).unwrap_or_default());
    text
}

fn unescape(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}

/// Each run of blanks and control characters as one blank, and no more than so many characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let is_gap = |letter: char| letter.is_whitespace() || letter.is_control();
    let words: Vec<&str> = text.split(is_gap).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}..", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_found_in_each_form() {
        for (answer, words) in [
            ("nobody home upstream\n", "nobody home upstream"),
            ("\u{feff}upstream  connect\r\nerror", "upstream connect error"),
            (
                "<html><head><title>Lunch &amp; break</title></head><body>x</body></html>",
                "Lunch & break",
            ),
            ("<!DOCTYPE html>\n<TITLE lang=en>\n Sorry \n</TITLE>", "Sorry"),
            (
                "<html><style>a{}</style><body><h1>403</h1><p>No &lt;entry&gt;</p></body>",
                "403 No <entry>",
            ),
            ("<html><title></title><body>gone</body>", "gone"),
            ("<?xml version='1.0'?><Error><Message>denied</Message></Error>", "denied"),
            ("{\"error\":{\"message\":\"m\",\"type\":\"t\"}}", "m"),
            ("[{\"error\":{\"message\":\"m\"}}]", "m"),
            ("{\"error\":{\"code\":7}}", "{\"error\":{\"code\":7}}"),
            (
                "{\"verdict\":\"stopped\",\n \"ticket\":\"T-1\"}",
                "{\"verdict\":\"stopped\", \"ticket\":\"T-1\"}",
            ),
            ("{\"message\":\"m\"}\n<!-- gate -->", "m"),
            ("\"refused\"", "refused"),
            ("null", "null"),
            ("event: error\ndata: {\"message\":\"m\"}\n\n", "m"),
            (": hello\n\ndata: a\ndata: b\n\ndata: c\n\n", "a b"),
            ("\r\rdata: a\r\rdata: b\r\r", "a"),
            ("{\"error\":", "{\"error\":"),
        ] {
            let found = words_of(answer.as_bytes());
            assert_eq!(found.as_deref(), Some(words), "{answer}");
        }
        for nothing in ["", " \r\n", "<html></html>", "<script>let a = 1", "data: \n\n"] {
            assert_eq!(words_of(nothing.as_bytes()), None, "{nothing}");
        }
        assert_eq!(words_of(b"a \xff b").as_deref(), Some("a \u{fffd} b"));
    }

    #[test]
    fn long_words_are_cut_at_a_character() {
        let words = words_of("\u{e9}".repeat(5000).as_bytes()).expect("words");
        assert_eq!(words.chars().count(), MAX_KEPT + 2);
        assert_eq!(one_line("ab cd", 4), "ab c..");
        assert_eq!(one_line("ab cd", 5), "ab cd");
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_read(answer in "(<|</|>|title|script|data:|\\{|\"|\u{e9}|[a\\n ]){0,30}") {
            words_of(answer.as_bytes());
        }
    }
}
