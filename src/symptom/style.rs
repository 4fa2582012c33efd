//! Style: how errors are written in JSON, by the service, by its transcoders, and by whoever
//! answers in its place.

use serde_json::Value;

/// One way to write an error: a row of [`STYLES`].
#[derive(Debug)]
pub(crate) struct Style {
    /// What stands where ([JSON Pointer](https://www.rfc-editor.org/rfc/rfc6901)) in an error of
    /// this style.
    marks: &'static [(&'static str, Is)],
    /// Where its words are; those that are there belong together.
    words: &'static [&'static str],
    pub(crate) code: CodeAt,
}

#[derive(Debug, Clone, Copy)]
enum Is {
    Object,
    Text,
    Number,
    List,
    Any,
}

/// Where the code of a gRPC status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeAt {
    /// Nowhere: this is not how a service of gRPC writes.
    Nowhere,
    /// Its number.
    Number(&'static str),
    /// In Google's wrapper: its name as `status`, and a `code` that is an HTTP status, or its
    /// number.
    Google,
}

impl Style {
    /// The first row that an object fits.
    pub(crate) fn of(object: &Value) -> Option<&'static Self> {
        STYLES.iter().find(|style| style.marks.iter().all(|(at, is)| is.holds(object.pointer(at))))
    }

    /// The first of them: the message of a status.
    pub(crate) fn message_of<'v>(&self, object: &'v Value) -> &'v str {
        let mut texts = self.words.iter().filter_map(|at| object.pointer(at)?.as_str());
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The words of an error of this style.
    pub(crate) fn words_of(&self, object: &Value) -> String {
        let mut words: Vec<&str> = Vec::new();
        for text in self.words.iter().filter_map(|at| object.pointer(at)?.as_str()) {
            if !text.is_empty() && !words.contains(&text) {
                words.push(text);
            }
        }
        words.join(": ")
    }
}

impl Is {
    fn holds(self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Object, Some(Value::Object(_)))
            | (Self::Text, Some(Value::String(_)))
            | (Self::Number, Some(Value::Number(_)))
            | (Self::List, Some(Value::Array(_))) => true,
            (Self::Any, value) => value.is_some_and(|value| !value.is_null()),
            _ => false,
        }
    }
}

/// The object that says what is wrong: an element of an array, where the service wraps its error in
/// one.
pub(crate) fn object_of(value: &Value) -> &Value {
    match value {
        Value::Array(elements) => {
            let error = elements.iter().find(|element| element.get("error").is_some());
            error.or(elements.first()).unwrap_or(value)
        }
        other => other,
    }
}

/// Whether an object has the shape of an error, though it may come where a message is due.
pub(crate) fn is_error(object: &Value) -> bool {
    let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
    let is_told = has("message") && (has("code") || has("status"));
    has("error") || has("errors") || has("fault") || is_told
}

/// From what only one writes to what many do.
static STYLES: [Style; 14] = [
    // grpc-gateway 1, within a stream.
    Style {
        marks: &[("/error/grpc_code", Is::Number)],
        words: &["/error/message"],
        code: CodeAt::Number("/error/grpc_code"),
    },
    // Google's, and OpenAI's and Azure's, which have the same wrapper.
    Style { marks: &[("/error", Is::Object)], words: &["/error/message"], code: CodeAt::Google },
    // grpc-gateway 1.
    Style {
        marks: &[("/error", Is::Text), ("/code", Is::Number)],
        words: &["/error", "/message"],
        code: CodeAt::Number("/code"),
    },
    // OAuth (RFC 6749), and a text alone.
    Style {
        marks: &[("/error", Is::Text)],
        words: &["/error", "/error_description", "/message"],
        code: CodeAt::Nowhere,
    },
    // Apigee.
    Style {
        marks: &[("/fault", Is::Any)],
        words: &["/fault/faultstring", "/fault/message", "/fault"],
        code: CodeAt::Nowhere,
    },
    // Problem documents (RFC 9457): ASP.NET, Spring.
    Style {
        marks: &[("/title", Is::Text), ("/status", Is::Number)],
        words: &["/title", "/detail"],
        code: CodeAt::Nowhere,
    },
    Style {
        marks: &[("/title", Is::Text), ("/detail", Is::Text)],
        words: &["/title", "/detail"],
        code: CodeAt::Nowhere,
    },
    // Lists: Cloudflare, JSON:API, GraphQL.
    Style {
        marks: &[("/errors/0", Is::Object)],
        words: &["/errors/0/message", "/errors/0/title", "/errors/0/detail"],
        code: CodeAt::Nowhere,
    },
    Style {
        marks: &[("/errors", Is::List)],
        words: &["/errors/0", "/errors/1", "/message"],
        code: CodeAt::Nowhere,
    },
    // `google.rpc.Status`: grpc-gateway 2, Envoy.
    Style {
        marks: &[("/code", Is::Number)],
        words: &["/message", "/msg", "/detail"],
        code: CodeAt::Number("/code"),
    },
    // AWS, Kong, Azure's API Management.
    Style { marks: &[("/message", Is::Text)], words: &["/message"], code: CodeAt::Nowhere },
    Style { marks: &[("/Message", Is::Text)], words: &["/Message"], code: CodeAt::Nowhere },
    // FastAPI.
    Style { marks: &[("/detail", Is::Text)], words: &["/detail"], code: CodeAt::Nowhere },
    Style { marks: &[("/title", Is::Text)], words: &["/title"], code: CodeAt::Nowhere },
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_style_is_known_by_its_marks() {
        for (error, words, code) in [
            (
                json!({"error": {"code": 404, "message": "m", "status": "NOT_FOUND"}}),
                "m",
                CodeAt::Google,
            ),
            (json!({"error": {"message": "m", "type": "t", "code": "c"}}), "m", CodeAt::Google),
            (
                json!({"error": {"grpc_code": 5, "message": "m"}}),
                "m",
                CodeAt::Number("/error/grpc_code"),
            ),
            (json!({"error": "m", "code": 3, "message": "m"}), "m", CodeAt::Number("/code")),
            (json!({"error": "e", "error_description": "d"}), "e: d", CodeAt::Nowhere),
            (
                json!({"error": "Not Found", "status": 404, "path": "/"}),
                "Not Found",
                CodeAt::Nowhere,
            ),
            (
                json!({"fault": {"faultstring": "m", "detail": {"errorcode": "c"}}}),
                "m",
                CodeAt::Nowhere,
            ),
            (json!({"type": "about:blank", "title": "t", "status": 400}), "t", CodeAt::Nowhere),
            (json!({"title": "t", "status": 400, "errors": {"a": ["b"]}}), "t", CodeAt::Nowhere),
            (json!({"title": "t", "detail": "d", "message": "m"}), "t: d", CodeAt::Nowhere),
            (json!({"success": false, "errors": [{"message": "m"}]}), "m", CodeAt::Nowhere),
            (json!({"errors": ["a", "b"]}), "a: b", CodeAt::Nowhere),
            (json!({"code": 5, "message": "m", "details": []}), "m", CodeAt::Number("/code")),
            (json!({"message": "m"}), "m", CodeAt::Nowhere),
            (json!({"Message": "m"}), "m", CodeAt::Nowhere),
            (json!({"detail": "d"}), "d", CodeAt::Nowhere),
        ] {
            let style = Style::of(&error).expect("a style");
            assert_eq!((style.words_of(&error).as_str(), style.code), (words, code), "{error}");
        }
        for other in
            [json!({"verdict": "stopped"}), json!({"detail": [1]}), json!("text"), json!(1)]
        {
            assert!(Style::of(&other).is_none(), "{other}");
        }
    }
}
