//! Template: the path grammar of `google.api.http`, and how a path is made from it.
//!
//! ```text
//! Template = "/" Segments [ Verb ] ;
//! Segments = Segment { "/" Segment } ;
//! Segment  = "*" | "**" | LITERAL | Variable ;
//! Variable = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! Verb     = ":" LITERAL ;
//! ```
//! From
//! [`google/api/http.proto`](https://github.com/googleapis/googleapis/blob/f8291d2b89f0017ab078a4c7378069bae5686f6f/google/api/http.proto).

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A path with variables, parsed.
#[derive(Debug)]
pub(crate) struct Template {
    pieces: Box<[Piece]>,
    variables: Box<[Variable]>,
}

/// The path is these, one after the other.
#[derive(Debug)]
enum Piece {
    /// Slashes, literal segments and the verb, as the author encoded them.
    Text(Box<str>),
    /// The variable of this index.
    Variable(usize),
}

/// A field whose value becomes piece of the path.
#[derive(Debug)]
pub(crate) struct Variable {
    /// Names of the fields from the request message down, joined by dots.
    field_path: Box<str>,
    pattern: Box<[Segment]>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    /// `*`: one segment.
    One,
    /// `**`: the rest, which may be nothing.
    Rest,
    Literal(Box<str>),
}

/// The text is not a path template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TemplateError(&'static str);

/// The value of a variable does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Which variable.
    pub(crate) variable: usize,
    pub(crate) reason: Reason,
}

/// Why a value does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Unset or empty: another resource, or none, would be meant.
    Empty,
    /// Its segments are others.
    Pattern,
    /// A segment is `.` or `..`, which the next URL parser would resolve away.
    DotSegment,
}

impl Template {
    /// # Errors
    /// The text breaks the grammar.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = text.strip_prefix('/').ok_or(TemplateError("it does not begin with `/`"))?;
        let (path, verb) = split_verb(text);
        let mut builder = Builder::default();
        let mut rest = path;
        loop {
            builder.text.push('/');
            rest = match rest.strip_prefix('{') {
                Some(inside) => builder.add_variable(inside)?,
                None => builder.add_segment(rest)?,
            };
            match rest.strip_prefix('/') {
                Some(next) => rest = next,
                None if rest.is_empty() => break,
                None => return Err(TemplateError("a variable is not a whole segment")),
            }
        }
        if let Some(verb) = verb {
            if !matches!(parse_segment(verb)?, Segment::Literal(_)) {
                return Err(TemplateError("its verb is not a literal"));
            }
            builder.text.push(':');
            builder.text.push_str(verb);
        }
        Ok(builder.finish())
    }

    /// In the order of the path.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.variables.iter()
    }

    /// The path for these values, encoded; `values` gives the raw value of a variable by its index.
    ///
    /// # Errors
    /// A value is missing or does not fit its variable.
    pub(crate) fn expand<'v>(
        &self,
        mut values: impl FnMut(usize) -> Option<Cow<'v, str>>,
    ) -> Result<String, Mismatch> {
        let mut path = String::with_capacity(USUAL_LENGTH);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Variable(index) => {
                    let Some(variable) = self.variables.get(*index) else { continue };
                    let value = values(*index).unwrap_or_default();
                    variable
                        .write(&value, &mut path)
                        .map_err(|reason| Mismatch { variable: *index, reason })?;
                }
            }
        }
        Ok(path)
    }
}

/// Parts the verb, which follows the last colon outside braces of the last segment.
fn split_verb(text: &str) -> (&str, Option<&str>) {
    let after_braces = text.rfind('}').map_or(0, |brace| brace + 1);
    let tail_start = text.rfind('/').map_or(0, |slash| slash + 1).max(after_braces);
    let tail = text.get(tail_start..).unwrap_or_default();
    match tail.rfind(':') {
        Some(colon) => {
            let (path, verb) = text.split_at(tail_start + colon);
            (path, verb.get(1..))
        }
        None => (text, None),
    }
}

#[derive(Default)]
struct Builder {
    pieces: Vec<Piece>,
    variables: Vec<Variable>,
    /// Text not yet made a piece.
    text: String,
}

impl Builder {
    fn add_segment<'t>(&mut self, rest: &'t str) -> Result<&'t str, TemplateError> {
        let (segment, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match parse_segment(segment)? {
            Segment::Literal(literal) => self.text.push_str(&literal),
            Segment::One | Segment::Rest => {
                return Err(TemplateError("a wildcard outside a variable has no value"));
            }
        }
        Ok(rest)
    }

    fn add_variable<'t>(&mut self, inside: &'t str) -> Result<&'t str, TemplateError> {
        let (variable, rest) =
            inside.split_once('}').ok_or(TemplateError("a brace is not closed"))?;
        if variable.contains('{') {
            return Err(TemplateError("a variable stands inside a variable"));
        }
        let (field_path, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        if !field_path.split('.').all(is_identifier) {
            return Err(TemplateError("a variable does not name a field"));
        }
        if self.variables.iter().any(|known| *known.field_path == *field_path) {
            return Err(TemplateError("two variables name one field"));
        }
        let pattern: Box<[Segment]> =
            pattern.split('/').map(parse_segment).collect::<Result<_, _>>()?;
        let before_last = pattern.len().saturating_sub(1);
        if pattern.iter().take(before_last).any(|segment| *segment == Segment::Rest) {
            return Err(TemplateError("`**` is not the last segment"));
        }
        self.finish_text();
        self.pieces.push(Piece::Variable(self.variables.len()));
        self.variables.push(Variable { field_path: field_path.into(), pattern });
        Ok(rest)
    }

    fn finish_text(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.text).into()));
        }
    }

    fn finish(mut self) -> Template {
        self.finish_text();
        Template { pieces: self.pieces.into(), variables: self.variables.into() }
    }
}

fn parse_segment(segment: &str) -> Result<Segment, TemplateError> {
    match segment {
        "" => Err(TemplateError("a segment is empty")),
        "*" => Ok(Segment::One),
        "**" => Ok(Segment::Rest),
        literal if literal.contains(['*', '{', '}']) => {
            Err(TemplateError("a segment is neither a literal nor a wildcard"))
        }
        // It is sent as it stands: a `?` would end the path, and a URL parser would resolve `..`.
        literal if !literal.bytes().all(may_stand_in_path) => {
            Err(TemplateError("a literal holds what cannot stand in a path"))
        }
        literal if refuse_dots(literal).is_err() => {
            Err(TemplateError("a segment `.` or `..` would lead to another path"))
        }
        literal => Ok(Segment::Literal(literal.into())),
    }
}

/// `pchar` of [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-3.3); a `%` begins what the
/// author encoded.
fn may_stand_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@".contains(&byte)
}

fn is_identifier(name: &str) -> bool {
    let starts_well =
        name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Variable {
    /// Names of the fields from the request message down, joined by dots.
    pub(crate) fn field_path(&self) -> &str {
        &self.field_path
    }

    /// Appends the value, encoded, if it fits the pattern; nothing is appended that does not.
    fn write(&self, value: &str, path: &mut String) -> Result<(), Reason> {
        if value.is_empty() {
            return Err(Reason::Empty);
        }
        if matches!(*self.pattern, [Segment::One]) {
            refuse_dots(value)?;
            encode(value, path);
            return Ok(());
        }
        let mut segments = value.split('/');
        for expected in &self.pattern {
            match expected {
                Segment::Rest => segments.by_ref().try_for_each(fit_segment)?,
                Segment::One => fit_segment(segments.next().unwrap_or_default())?,
                Segment::Literal(literal) => {
                    if segments.next() != Some(literal) {
                        return Err(Reason::Pattern);
                    }
                }
            }
        }
        if segments.next().is_some() {
            return Err(Reason::Pattern);
        }
        encode_segments(value, path);
        Ok(())
    }
}

/// An empty segment is refused: servers join two slashes to one, so another resource would be
/// meant.
fn fit_segment(segment: &str) -> Result<(), Reason> {
    if segment.is_empty() { Err(Reason::Pattern) } else { refuse_dots(segment) }
}

/// `.` and `..` need no encoding, so encoding would not protect them; nor does `%2e`, which WHATWG
/// URL parsers take for a dot.
fn refuse_dots(segment: &str) -> Result<(), Reason> {
    if has_dot_segment(segment) { Err(Reason::DotSegment) } else { Ok(()) }
}

/// Whether a segment of the path is `.` or `..`, written or encoded.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    let bytes = path.as_bytes();
    let begins_with_dot = bytes.starts_with(b".") || bytes.windows(2).any(|pair| pair == b"/.");
    // As in almost all names. A dot or a slash may be encoded.
    if !begins_with_dot && !bytes.contains(&b'%') {
        return false;
    }
    let is_dots = |text: &str| {
        let mut dots = 0;
        let mut rest = text;
        while let Some(next) = strip_dot(rest) {
            rest = next;
            dots += 1;
        }
        rest.is_empty() && (1..=2).contains(&dots)
    };
    path.split('/').any(is_dots)
        || path.contains('%')
            && path
                .to_ascii_lowercase()
                .split(['/', '\\'])
                .any(|segment| segment.split("%2f").flat_map(|part| part.split("%5c")).any(is_dots))
}

fn strip_dot(text: &str) -> Option<&str> {
    text.strip_prefix('.').or_else(|| text.strip_prefix("%2e")).or_else(|| text.strip_prefix("%2E"))
}

/// Percent-encodes all but `[-_.~0-9a-zA-Z]`.
pub(crate) fn encode(text: &str, out: &mut String) {
    out.extend(utf8_percent_encode(text, &ESCAPED));
}

/// What stands in a path as it is, slashes with it.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/')
}

/// The same, and slashes stay.
pub(crate) fn encode_segments(text: &str, out: &mut String) {
    if text.bytes().all(is_plain) {
        // As almost all names.
        out.push_str(text);
    } else {
        out.extend(utf8_percent_encode(text, &ESCAPED_IN_SEGMENTS));
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// As in the template: `model=models/*`.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field_path)?;
        for (at, segment) in self.pattern.iter().enumerate() {
            let text = match segment {
                Segment::One => "*",
                Segment::Rest => "**",
                Segment::Literal(literal) => literal,
            };
            write!(f, "{}{text}", if at == 0 { '=' } else { '/' })?;
        }
        Ok(())
    }
}

/// Most paths fit, and need not move as they grow.
const USUAL_LENGTH: usize = 128;
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_IN_SEGMENTS: AsciiSet = ESCAPED.remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, values: &[&str]) -> Result<String, Reason> {
        let template = Template::parse(template).expect("a template");
        let value = |index: usize| values.get(index).map(|value| Cow::Borrowed(*value));
        template.expand(value).map_err(|mismatch| mismatch.reason)
    }

    #[test]
    fn expands_by_the_grammar() {
        let cases: &[(&str, &[&str], Result<&str, Reason>)] = &[
            ("/v1/models", &[], Ok("/v1/models")),
            (
                "/v1beta/{model=models/*}:generateContent",
                &["models/a"],
                Ok("/v1beta/models/a:generateContent"),
            ),
            ("/v1/{model=models/*}:x", &["models/a:b c/"], Err(Reason::Pattern)),
            ("/v1/{model=models/*}:x", &["models/a:b c"], Ok("/v1/models/a%3Ab%20c:x")),
            ("/v1/{model=models/*}", &["models/é%2F?#+"], Ok("/v1/models/%C3%A9%252F%3F%23%2B")),
            ("/v1/{model=models/*}", &["tunedModels/a"], Err(Reason::Pattern)),
            ("/v1/{model=models/*}", &["models/"], Err(Reason::Pattern)),
            ("/v1/{model=models/*}", &["models"], Err(Reason::Pattern)),
            ("/v1/{model=models/*}", &["models/a/b"], Err(Reason::Pattern)),
            ("/v1/{model=models/*}", &["models/a\n"], Ok("/v1/models/a%0A")),
            ("/v1/{model=models/*}", &[""], Err(Reason::Empty)),
            ("/v1/{model=models/*}", &[], Err(Reason::Empty)),
            ("/v1/{name}", &["a/b"], Ok("/v1/a%2Fb")),
            ("/v1/{name=*}/x", &["a/b"], Ok("/v1/a%2Fb/x")),
            ("/v1/{name=operations/**}", &["operations/a/b"], Ok("/v1/operations/a/b")),
            ("/v1/{name=operations/**}", &["operations"], Ok("/v1/operations")),
            ("/v1/{name=**}", &[""], Err(Reason::Empty)),
            ("/v1/{name=**}", &["/"], Err(Reason::Pattern)),
            ("/v1/{name=operations/**}", &["operations/"], Err(Reason::Pattern)),
            ("/v1/{name=operations/**}", &["operations/a//b"], Err(Reason::Pattern)),
            // http.proto wants `**` last, Firestore's rules do not have it so.
            ("/v1/{name=*/**}/{field}", &["a/b/c", "d"], Ok("/v1/a/b/c/d")),
            ("/v1/a:b/{name}:c", &["e"], Ok("/v1/a:b/e:c")),
            ("/v1/%C3%A9/{name}", &["e"], Ok("/v1/%C3%A9/e")),
            ("/v1beta/{name=batches}", &["batches"], Ok("/v1beta/batches")),
            ("/v1beta/{name=batches}", &["batches/1"], Err(Reason::Pattern)),
            (
                "/v1/{parent=corpora/*/documents/*}/chunks:batchCreate",
                &["corpora/a/documents/b"],
                Ok("/v1/corpora/a/documents/b/chunks:batchCreate"),
            ),
            (
                "/v1/{cached_content.name=cachedContents/*}",
                &["cachedContents/1"],
                Ok("/v1/cachedContents/1"),
            ),
            ("/v1/{a}/{b}", &["1", "2"], Ok("/v1/1/2")),
        ];
        for (template, values, expected) in cases {
            assert_eq!(
                expand(template, values).as_deref().map_err(|reason| *reason),
                *expected,
                "{template} {values:?}"
            );
        }
    }

    #[test]
    fn dot_segments_are_refused() {
        for value in [
            "models/..",
            "models/.",
            "models/%2e%2E",
            "models/.%2e",
            "models/..%2Fx",
            "models/x%2f..",
        ] {
            assert_eq!(expand("/v1/{m=models/*}", &[value]), Err(Reason::DotSegment), "{value}");
        }
        for value in ["../../v1/projects", "a/../b", "a/./b", "%2e%2e/x"] {
            assert_eq!(expand("/v1/{m=**}", &[value]), Err(Reason::DotSegment), "{value}");
            assert_eq!(expand("/v1/{m}", &[value]), Err(Reason::DotSegment), "{value}");
        }
        for value in ["models/...", "models/a..b", "models/.a"] {
            assert!(expand("/v1/{m=models/*}", &[value]).is_ok(), "{value}");
        }
    }

    #[test]
    fn bad_templates_are_refused() {
        for text in [
            "",
            "v1",
            "/",
            "/v1//x",
            "/v1/{a",
            "/v1/a}",
            "/v1/{a={b}}",
            "/v1/{}",
            "/v1/{a=}",
            "/v1/{a.}",
            "/v1/{1a}",
            "/v1/{a=**/b}",
            "/v1/*",
            "/v1/{a}{b}",
            "/v1/{a}/{a}",
            "/v1/{a}:",
            "/v1/x{a}",
            "/v1/a b",
            "/v1/é",
            "/v1?a=b",
            "/v1/x#y",
            "/v1/./x",
            "/v1/%2e%2E",
            "/v1/{a=../x}",
            "/v1/{a}:*",
            "/v1/{a}:b{c}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_prints_as_it_is_written() {
        let template = Template::parse("/v1/{a.b=x/*/**}").expect("a template");
        assert_eq!(
            template.variables().next().map(ToString::to_string).as_deref(),
            Some("a.b=x/*/**")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_value_leaves_its_place(value in ".*") {
            if let Ok(path) = expand("/v1/{a=x/*}/y", &[&value]) {
                proptest::prop_assert_eq!(path.split('/').count(), 5);
                proptest::prop_assert!(path.is_ascii() && !path.contains(['?', '#', ' ']));
            }
        }

        #[test]
        fn parsing_never_panics(text in "[/{}*:=.a-z]{0,20}") {
            let _ = Template::parse(&text);
        }
    }
}
