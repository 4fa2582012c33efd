//! Query: the parameters of a REST request, Google's own parted from the fields.

use tonic::Status;

use super::binding::decode;

/// What the query of a request says.
#[derive(Debug)]
pub(super) struct Query {
    /// Names and values of fields, decoded, in their order.
    pub(super) fields: Vec<(String, String)>,
    pub(super) key: Option<String>,
    pub(super) is_pretty: bool,
    pub(super) is_sse: bool,
    pub(super) has_enum_numbers: bool,
}

/// System parameters without an effect here (<https://cloud.google.com/apis/docs/system-parameters>
/// and the discovery document's common ones).
const IGNORED: &[&str] = &[
    "$.xgafv",
    "$apiVersion",
    "$callback",
    "$ct",
    "$fields",
    "$outputDefaults",
    "$unique",
    "access_token",
    "callback",
    "fields",
    "oauth_token",
    "quotaUser",
    "uploadType",
    "upload_protocol",
];

impl Default for Query {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            key: None,
            is_pretty: true,
            is_sse: false,
            has_enum_numbers: false,
        }
    }
}

impl Query {
    /// Reads a query as it stood on the wire. A plus is a plus, as in Google's own transcoder.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`: the encoding is broken, or a system parameter has an unknown value.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let broken = || Status::invalid_argument("a query parameter is not encoded in UTF-8");
            query.add(decode(name).ok_or_else(broken)?, decode(value).ok_or_else(broken)?)?;
        }
        Ok(query)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Status> {
        match name.as_str() {
            "key" | "$key" => self.key = Some(value),
            "prettyPrint" | "$prettyPrint" => self.is_pretty = !["false", "0"].contains(&&*value),
            "alt" | "$alt" => self.set_form(&value)?,
            ignored if IGNORED.contains(&ignored) => {}
            _ => self.fields.push((name, value)),
        }
        Ok(())
    }

    fn set_form(&mut self, alt: &str) -> Result<(), Status> {
        for part in alt.split(';') {
            match part {
                "json" => self.is_sse = false,
                "sse" => self.is_sse = true,
                "enum-encoding=int" => self.has_enum_numbers = true,
                other => {
                    let text = format!("Invalid value at 'alt': {other:?}");
                    return Err(Status::invalid_argument(text));
                }
            }
        }
        Ok(())
    }
}
