//! Routing: the fields of a request that Google's front end sends it on by, as a header.

use http::HeaderValue;

use crate::json::text_of_field;
use crate::schema::template::encode_segments;
use crate::schema::{Method, Schema};

/// `field=value` for each variable of the method's first HTTP rule, joined by `&`; `None` if all
/// are empty, or the message cannot be read
/// ([AIP-4222](https://google.aip.dev/client-libraries/4222)).
pub(crate) fn routing_parameters(
    schema: &Schema,
    method: &Method,
    message: &[u8],
) -> Option<HeaderValue> {
    let rule = method.rules.first()?;
    let mut text = String::new();
    for (variable, path) in rule.template.variables().zip(&rule.variables) {
        let value = text_of_field(schema, method.input, path, message).ok()??;
        if value.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('&');
        }
        text.reserve(variable.field_path().len() + value.len() + 2);
        text.push_str(variable.field_path());
        text.push('=');
        // As Google's clients encode it: slashes stay.
        encode_segments(&value, &mut text);
    }
    if text.is_empty() { None } else { HeaderValue::try_from(text).ok() }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::gemini;
    use crate::v1beta;

    #[test]
    fn the_variables_of_the_first_rule_are_named() {
        let schema = gemini::schema().expect("a schema");
        let parameters = |method: &str, message: &[u8]| {
            let path = format!("/google.ai.generativelanguage.v1beta.{method}");
            let method = schema.method(&path).expect("known");
            routing_parameters(&schema, method, message)
        };
        let model = |model: &str| {
            v1beta::CountTokensRequest { model: model.into(), ..Default::default() }.encode_to_vec()
        };
        let count = "GenerativeService/CountTokens";
        assert_eq!(parameters(count, &model("models/a b")).expect("one"), "model=models/a%20b");
        assert_eq!(parameters(count, &model("")), None);
        assert_eq!(parameters(count, b"\x0a\x05ab"), None);
        assert_eq!(parameters("ModelService/ListModels", b""), None);
        let content =
            v1beta::CachedContent { name: Some("cachedContents/a".into()), ..Default::default() };
        let update = v1beta::UpdateCachedContentRequest {
            cached_content: Some(content),
            update_mask: None,
            ..Default::default()
        };
        let nested = parameters("CacheService/UpdateCachedContent", &update.encode_to_vec());
        assert_eq!(nested.expect("one"), "cached_content.name=cachedContents/a");
    }
}
