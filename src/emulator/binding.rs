//! Binding: one `google.api.http` rule, read as a server reads it: from a request to its fields.
//!
//! ```text
//! Template = "/" Segments [ ":" LITERAL ]
//! Segments = Segment { "/" Segment }
//! Segment  = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}"
//! ```
//!
//! ([http.proto](https://github.com/googleapis/googleapis/blob/f8291d2b89/google/api/http.proto)).
//! Written without a look at the bridge's own templates, which it checks.

use http::Method;

/// A verb and a path template with what the body means; additional bindings are bindings of their
/// own.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) verb: Method,
    pub(super) template: Template,
    pub(super) body: BodyRule,
    /// The field that alone makes up the answer.
    pub(super) response_body: Option<Box<str>>,
}

/// Where a request's body goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyRule {
    /// There is none.
    Absent,
    /// `*`: every field that the path does not bind.
    Whole,
    /// One field of the request.
    Field(Box<str>),
}

impl BodyRule {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "" => Self::Absent,
            "*" => Self::Whole,
            field => Self::Field(field.into()),
        }
    }
}

/// A parsed path template.
#[derive(Debug)]
pub(super) struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    custom_verb: Option<Box<str>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    One,
    Many,
}

/// A field path and the segments that give its value.
#[derive(Debug)]
struct Variable {
    field_path: Box<str>,
    start: usize,
    end: usize,
}

/// A field path and the value that the URL gives it.
pub(super) type Capture = (Box<str>, String);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix('/').ok_or("a template begins with /")?;
        // The custom verb stands behind the last segment, outside braces.
        let last = path.rfind(['/', '}']).map_or(0, |index| index + 1);
        let (path, custom_verb) = match path.rfind(':').filter(|colon| *colon >= last) {
            Some(colon) => {
                (path.get(..colon).unwrap_or_default(), path.get(colon + 1..).map(Into::into))
            }
            None => (path, None),
        };
        let mut template = Self { segments: Vec::new(), variables: Vec::new(), custom_verb };
        let mut rest = Some(path);
        while let Some(path) = rest {
            rest = template.read_part(path)?;
        }
        Ok(template)
    }

    /// Reads one segment or variable; gives what stands behind the next slash.
    fn read_part<'a>(&mut self, path: &'a str) -> Result<Option<&'a str>, String> {
        let Some(variable) = path.strip_prefix('{') else {
            let (segment, rest) = split_at_slash(path);
            self.segments.push(Segment::parse(segment)?);
            return Ok(rest);
        };
        let (variable, rest) = variable.split_once('}').ok_or("a variable is not closed")?;
        let (field_path, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        let start = self.segments.len();
        for segment in pattern.split('/') {
            self.segments.push(Segment::parse(segment)?);
        }
        self.variables.push(Variable {
            field_path: field_path.into(),
            start,
            end: self.segments.len(),
        });
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Ok(None),
            None => Err(format!("{rest:?} stands behind a variable")),
            after => Ok(after),
        }
    }

    /// The values that this path, as it stood on the wire, gives the variables.
    pub(super) fn captures(&self, path: &str) -> Option<Vec<Capture>> {
        let path = path.strip_prefix('/')?;
        let path = match &self.custom_verb {
            Some(verb) => path.strip_suffix(&**verb)?.strip_suffix(':')?,
            None => path,
        };
        let pieces: Vec<&str> = path.split('/').collect();
        let starts = place(&self.segments, &pieces)?;
        self.variables.iter().map(|variable| self.capture(variable, &pieces, &starts)).collect()
    }

    fn capture(&self, variable: &Variable, pieces: &[&str], starts: &[usize]) -> Option<Capture> {
        let span = *starts.get(variable.start)?..*starts.get(variable.end)?;
        let raw = pieces.get(span)?.join("/");
        let segments = self.segments.get(variable.start..variable.end)?;
        let value = match segments {
            [Segment::One | Segment::Literal(_)] => decode(&raw)?,
            _ => decode_all_but_slashes(&raw)?,
        };
        (!value.is_empty()).then(|| (variable.field_path.clone(), value))
    }

    /// Of two templates that match, the one of higher rank is meant: a custom verb before none,
    /// then from the left a literal before `*` before `**`.
    pub(super) fn rank(&self) -> (bool, Vec<u8>) {
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 2,
            Segment::One => 1,
            Segment::Many => 0,
        };
        (self.custom_verb.is_some(), self.segments.iter().map(rank).collect())
    }

    /// The fields that the path binds.
    pub(super) fn field_paths(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| &*variable.field_path)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self::One),
            "**" => Ok(Self::Many),
            _ if text.is_empty() || text.contains(['*', '{', '}', '=']) => {
                Err(format!("{text:?} is no segment"))
            }
            literal => Ok(Self::Literal(literal.into())),
        }
    }
}

fn split_at_slash(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Where each segment begins among the pieces of a path, and where the last one ends.
fn place(segments: &[Segment], pieces: &[&str]) -> Option<Vec<usize>> {
    let Some((segment, segments)) = segments.split_first() else {
        return pieces.is_empty().then(|| vec![0]);
    };
    let lengths = match segment {
        Segment::Many => 0..=pieces.len(),
        Segment::Literal(literal) if pieces.first() != Some(&&**literal) => return None,
        Segment::One if pieces.first().is_none_or(|piece| piece.is_empty()) => return None,
        Segment::Literal(_) | Segment::One => 1..=1,
    };
    lengths.rev().find_map(|length| {
        let starts = place(segments, pieces.get(length..)?)?;
        Some(std::iter::once(0).chain(starts.iter().map(|start| start + length)).collect())
    })
}

/// Undoes percent-encoding; `None` if what comes out is no text.
pub(super) fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// The same, but an encoded slash stays encoded: in a value of several segments it is not a border.
fn decode_all_but_slashes(text: &str) -> Option<String> {
    decode(&text.replace("%2F", "%252F").replace("%2f", "%252f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `template` captures from `path`, as `field=value` joined by `&`.
    fn captured(template: &str, path: &str) -> Option<String> {
        let captures = Template::parse(template).expect(template).captures(path)?;
        let pairs = captures.iter().map(|(field_path, value)| format!("{field_path}={value}"));
        Some(pairs.collect::<Vec<_>>().join("&"))
    }

    #[test]
    fn a_path_gives_the_variables_their_values() {
        let cases = [
            ("/v1/models", "/v1/models", Some("")),
            ("/v1/models", "/v1/models/", None),
            ("/v1/models", "/v1/model", None),
            ("/v1/{name}", "/v1/a", Some("name=a")),
            ("/v1/{name}", "/v1/a/b", None),
            ("/v1/{name}", "/v1/", None),
            ("/v1/{name=models/*}", "/v1/models/a", Some("name=models/a")),
            ("/v1/{name=models/*}", "/v1/models/", None),
            ("/v1/{name=models/*}", "/v1/tunedModels/a", None),
            ("/v1/{name=models/*}:go", "/v1/models/a:go", Some("name=models/a")),
            ("/v1/{name=models/*}:go", "/v1/models/a:b:go", Some("name=models/a:b")),
            ("/v1/{name=models/*}:go", "/v1/models/a", None),
            ("/v1/{name=models/*}:go", "/v1/models/a%3Ago", None),
            ("/v1/{name=models/*}", "/v1/models/a:b", Some("name=models/a:b")),
            ("/v1/{name=batches}", "/v1/batches", Some("name=batches")),
            ("/v1/{name=a/*/b/*}/c", "/v1/a/1/b/2/c", Some("name=a/1/b/2")),
            ("/v1/{x.y.z=a/*}/{w}", "/v1/a/1/2", Some("x.y.z=a/1&w=2")),
            ("/v1/{p=a/*}/chunks:batchCreate", "/v1/a/1/chunks:batchCreate", Some("p=a/1")),
            ("/v1/{name=operations/**}", "/v1/operations/a/b", Some("name=operations/a/b")),
            ("/v1/{name=operations/**}", "/v1/operations", Some("name=operations")),
            ("/v1/{name=**}", "/v1/a/b", Some("name=a/b")),
            ("/v1/{name=**}", "/v1", None),
            ("/v1/{name=**}/tail", "/v1/a/b/tail", Some("name=a/b")),
            ("/v1/*/{name}", "/v1/any/a", Some("name=a")),
        ];
        for (template, path, expected) in cases {
            assert_eq!(captured(template, path).as_deref(), expected, "{template} {path}");
        }
    }

    #[test]
    fn values_are_decoded_but_for_the_slash_among_segments() {
        let cases = [
            ("/{v}", "/a%2Fb", Some("v=a/b")),
            ("/{v}", "/%C3%A9%20+%25", Some("v=é +%")),
            ("/{v}", "/%FF", None),
            ("/{v=a/*}", "/a/b%2Fc", Some("v=a/b%2Fc")),
            ("/{v=a/*}", "/a/b%2fc%3F%2E", Some("v=a/b%2fc?.")),
            ("/{v=**}", "/a/%C3%A9", Some("v=a/é")),
        ];
        for (template, path, expected) in cases {
            assert_eq!(captured(template, path).as_deref(), expected, "{template} {path}");
        }
    }

    #[test]
    fn a_wrong_template_is_refused() {
        for template in ["", "v1", "/v1//a", "/{a", "/{a}b", "/a*", "/{a=***}", "/{a={b}}", "/"] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }

    #[test]
    fn the_more_exact_template_ranks_higher() {
        let ordered = ["/{a=**}", "/{a}", "/{a}/{b}", "/{a}/b", "/a/*", "/{a}:verb"];
        let ranks = ordered.map(|template| Template::parse(template).expect(template).rank());
        assert!(ranks.is_sorted(), "{ranks:?}");
    }
}
